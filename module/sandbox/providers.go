package sandbox

import (
	"maps"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/easypay"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hbsk"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hkrt"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hongwen"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/jeepay"
)

// providers are all that can be played.
var providers = map[string]func() provider.Provider{
	"easypay": func() provider.Provider { return easypay.New() },
	"jeepay":  func() provider.Provider { return jeepay.New() },
	"hbsk":    func() provider.Provider { return hbsk.New() },
	"hkrt":    func() provider.Provider { return hkrt.New() },
	"hongwen": func() provider.Provider { return hongwen.New() },
}

// services are what stands in the paths of each provider's interfaces.
var services = map[string]string{
	"easypay": "/ledger/", "jeepay": "/api/", "hbsk": "/share/", "hkrt": "/delay-ledger/", "hongwen": "/gateway.do",
}

func names() string { return strings.Join(slices.Sorted(maps.Keys(providers)), ", ") }
