# What the sidecar of the example may do in Vault: read its own key sets, and see
# whether they have changed. It may not list, and it may write nothing.
path "payments/data/easypay/ORG000000000007" {
  capabilities = ["read"]
}
path "payments/metadata/easypay/ORG000000000007" {
  capabilities = ["read"]
}
path "payments/data/jeepay/M1623997351" {
  capabilities = ["read"]
}
path "payments/metadata/jeepay/M1623997351" {
  capabilities = ["read"]
}
