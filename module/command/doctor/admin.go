package doctor

import (
	"os"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// checkAdmin checks who can reach the admin endpoint: whoever does can make
// Caddy serve the key files.
func (e *examination) checkAdmin(admin *caddy.AdminConfig) {
	const check = "admin endpoint"
	advice := i18n.Sprintf("set `admin off`, or `admin unix//run/countersign/admin.sock|0600`")
	if admin == nil {
		admin = new(caddy.AdminConfig)
	}
	listen := admin.Listen
	if listen == "" {
		listen = os.Getenv("CADDY_ADMIN")
	}
	if listen == "" {
		listen = caddy.DefaultAdminListen
	}
	listen = caddy.NewReplacer().ReplaceAll(listen, "")
	switch {
	case admin.Disabled:
		e.ok(check, "off", i18n.Sprintf("nobody can change the configuration of a running Caddy"))
	case !strings.HasPrefix(listen, "unix/"):
		e.failure(check, listen, i18n.Sprintf("every process that reaches this address can make Caddy serve the key files"), advice)
	case !private(listen):
		e.failure(check, listen, i18n.Sprintf("others than the owner may open the socket, and make Caddy serve the key files"), advice)
	default:
		e.ok(check, listen, i18n.Sprintf("only the owner of the socket can open it"))
	}
	if admin.Remote != nil {
		e.warning(check, "remote", i18n.Sprintf("remote administration is on: who has its certificate can make Caddy serve the key files"), i18n.Sprintf("leave it out"))
	}
	if admin.Config == nil || admin.Config.Persist == nil || *admin.Config.Persist {
		e.warning("persist_config", "autosave.json", i18n.Sprintf("the configuration is written to disk, with all that {$VARIABLE} has put into it"), i18n.Sprintf("set `persist_config off`"))
	} else {
		e.ok("persist_config", "off", i18n.Sprintf("the configuration is not written to disk"))
	}
}

// private reports whether a socket, as path|mode, is for its owner alone.
// Without a mode Caddy makes it 0200.
func private(listen string) bool {
	_, text, given := strings.Cut(listen, "|")
	if !given {
		return true
	}
	mode, err := strconv.ParseUint(text, 8, 32)
	return err == nil && mode&0o077 == 0
}
