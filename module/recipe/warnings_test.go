package recipe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/message"
)

// warnings returns all warnings of a recipe, a line each.
func warnings(p *Program) string {
	return strings.Join(p.description.WarningsOf(message.Request, message.Answer, message.Notification), "\n")
}

// A warning knows the block that it is about, whatever its words are, and stands once
// where two blocks have it.
func TestWarningsOfBlocks(t *testing.T) {
	p := mustCompile(t, "warn `sign nothing by hand`\nwarn `a notification is a rumour`\ntext all {\nsorted body except sign\nappend {secret}\nappend x\n}\n"+
		"request {\nsign body.sign md5 hex all\n}\nanswer {\nverify body.sign md5 hex all\n}\nnotification {\nverify body.sign md5 hex all\nack sign header.X-Sign sha1 hex all\nack ok\n}")
	exchange := strings.Join(p.description.WarningsOf(message.Request, message.Answer), "\n")
	notification := strings.Join(p.description.WarningsOf(message.Notification), "\n")
	for _, text := range []string{"sign nothing by hand", "a notification is a rumour", "md5: {secret} does not stand at the end"} {
		assert.Equal(t, 1, strings.Count(exchange, text), "%s: %s", text, exchange)
		assert.Equal(t, 1, strings.Count(notification, text), "%s: %s", text, notification)
	}
	for text, of := range map[string]string{"sign body.sign: MD5": "exchange", "has no match": "exchange", "SHA-1": "notification", "use once": "notification"} {
		assert.Equal(t, of == "exchange", strings.Contains(exchange, text), "%s: %s", text, exchange)
		assert.Equal(t, of == "notification", strings.Contains(notification, text), "%s: %s", text, notification)
	}
}
