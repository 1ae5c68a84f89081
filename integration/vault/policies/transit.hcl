# Besides kv.hcl, for key sets whose fields name keys of the Transit engine, here
# mounted at "signing": to see the versions and public keys, and to use them.
path "signing/keys/shop-sign" {
  capabilities = ["read"]
}
path "signing/sign/shop-sign/sha2-256" {
  capabilities = ["update"]
}

# For a set whose role `decrypt` is in Transit too.
path "signing/keys/shop-decrypt" {
  capabilities = ["read"]
}
path "signing/decrypt/shop-decrypt" {
  capabilities = ["update"]
}
