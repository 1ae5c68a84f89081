// Command handwritten is Caddy with caddy-countersign and three schemes in Go: jeepay_go,
// hkrt_go and hbsk_go sign as the recipes jeepay, hkrt and hbsk do with their default
// options. The bench compares what an exchange costs under the one and the other; nobody
// else uses them.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/countersign/caddy-countersign/module"
)

func init() {
	caddy.RegisterModule(new(jeepay))
	caddy.RegisterModule(new(hkrt))
	caddy.RegisterModule(new(hbsk))
}

func main() { caddycmd.Main() }
