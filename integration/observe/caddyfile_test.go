package observe_test

import (
	"path/filepath"
	"strings"
)

// The parts of Caddyfiles. Ports mean nothing: every site is on a Unix socket,
// but two sites need two addresses.

// global has the admin endpoint and the development keys; more goes into the
// same block.
func global(more string) string { return globalWithKeys("", more) }

// globalWithKeys has further key sources as well.
func globalWithKeys(sources, more string) string {
	return `{
	admin unix/$DIR/admin|0600
	persist_config off
	grace_period 5s
	countersign {
		keys file $REPO/keys-dev/merchant {
			refresh 50ms
			settle 1ms
		}
		keys file $REPO/keys-dev/provider {
			name provider
		}
` + sources + `
	}
` + more + "\n}\n"
}

// source returns a key source of a folder, with that folder's name.
func source(dir string) string {
	return "keys file " + dir + " {\nname " + filepath.Base(dir) + "\nrefresh 20ms\nsettle 1ms\n}\n"
}

// auditTo sends the audit entries, and nothing else, to an output.
func auditTo(output string) string {
	return `
	log audit {
		output ` + output + `
		format json
		include http.countersign.audit
	}
	log default {
		output file $DIR/default.log
		format json
		exclude http.countersign.audit
	}
`
}

const auditFile = "file $DIR/audit.log"

// app returns the site that the application posts to, with an access log.
func app(handlers ...string) string { return site("8080", "app", handlers...) }

// providers returns the site of the sandboxes.
func providers() string {
	return site("9090", "provider",
		"handle /ledger/* {", "countersign_sandbox easypay {", "keys provider easypay/ORG000000000007", "}", "}")
}

// watching returns the site with the metrics.
func watching() string {
	return site("8081", "watching", "@ready countersign_ready", "handle /readyz {", "respond @ready ready", "respond 503", "}", "metrics /metrics")
}

func site(port, socket string, lines ...string) string {
	return "http://:" + port + " {\n\tbind unix/$DIR/" + socket + "\n\tlog {\n\t\toutput file $DIR/" + socket + ".log\n\t\tformat json\n\t}\n" +
		strings.Join(lines, "\n") + "\n}\n"
}

// short returns the directive, under a path of its own.
func short(path, upstreams string, options ...string) string {
	return shortWith(merchant, path, upstreams, options...)
}

// shortWith is short with other keys.
func shortWith(keys, path, upstreams string, options ...string) string {
	return "handle_path " + path + "/* {\ncountersign easypay " + upstreams + " {\nkeys " + keys + "\n" +
		strings.Join(options, "\n") + "\n}\n}\n"
}

// merchant is the reference of the merchant's development keys.
const merchant = "easypay/ORG000000000007"

// long is short with options of reverse_proxy.
func long(path, upstreams string, proxyOptions string, options ...string) string {
	if proxyOptions != "" {
		options = append(options, "reverse_proxy {\n"+proxyOptions+"\n}")
	}
	return short(path, upstreams, options...)
}

// provider is the upstream of the sandboxes.
const provider = "unix/$DIR/provider"
