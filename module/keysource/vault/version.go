package vault

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// version returns the version of Vault, or "". Vault shows it without a token.
func (c *client) version(ctx context.Context) (string, error) {
	text, err := c.raw(ctx, request{path: "sys/health", root: true, query: url.Values{
		"standbyok": {"true"}, "perfstandbyok": {"true"},
	}}, "")
	if err != nil {
		return "", err
	}
	var health struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(text, &health) != nil {
		return "", i18n.Errorf("vault's answer for sys/health is not what vault sends; check the address")
	}
	return health.Version, nil
}
