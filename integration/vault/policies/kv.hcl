# The least that the sidecar needs for key sets in KV version 2, here mounted at
# "payments". One line a merchant (payments/data/easypay/ORG000000000007) is
# narrower still, where the references are known.
path "payments/data/easypay/*" {
  capabilities = ["read"]
}
path "payments/data/jeepay/*" {
  capabilities = ["read"]
}

# With these the sidecar asks for the version only, every `refresh`, and for the
# secret when that has changed. Without them it reads the secret each time.
path "payments/metadata/easypay/*" {
  capabilities = ["read"]
}
path "payments/metadata/jeepay/*" {
  capabilities = ["read"]
}
