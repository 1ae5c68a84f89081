package vault

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
)

// version is the version of Vault, which it tells everybody, or "".
func (c *client) version(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/sys/health?standbyok=true&perfstandbyok=true", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Vault-Request", "true")
	res, err := c.http.Do(req)
	if err != nil {
		return "", describe(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	var health struct {
		Version string `json:"version"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&health); err != nil {
		return "", err
	}
	return health.Version, nil
}
