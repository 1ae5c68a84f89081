// Command caddy is Caddy with the modules of caddy-countersign.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/countersign/caddy-countersign/module"
)

func main() { caddycmd.Main() }
