package notify_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vectors are the published texts with known signatures: testdata/vectors.json.
func vector(t *testing.T, id string) (canonical, signature, key string) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var all []struct {
		ID, Canonical, Signature string
		PublicKey                string `json:"public_key"`
	}
	require.NoError(t, json.Unmarshal(text, &all))
	for _, v := range all {
		if v.ID == id {
			return v.Canonical, v.Signature, v.PublicKey
		}
	}
	t.Fatalf("there is no vector %s", id)
	return "", "", ""
}

// The published notification comes through, with the key as the provider hands
// it out, and no byte of its values may differ.
func TestThePublishedNotification(t *testing.T) {
	canonical, sig, key := vector(t, "easypay-notification-text")
	folder := t.TempDir()
	set := filepath.Join(folder, "easypay", "published")
	require.NoError(t, os.MkdirAll(set, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(set, "verify.pem"), []byte(key), 0o600))

	var members []member
	for piece := range strings.SplitSeq(canonical, "&") {
		name, value, found := strings.Cut(piece, "=")
		require.True(t, found)
		members = append([]member{{name, value}}, members...) // in another order than it is signed
	}
	require.Len(t, members, 13)

	app := newApplication(t, says("ok"))
	site := "\tcountersign_notify easypay {\n\t\tkeys easypay/published\n\t\texpect bizData.oriOrgTrace ORG04785*\n\t}\n" + app.proxy()
	c := serve(t, "respond idle\n")
	c.keys = folder
	c.load(t, site)
	note := sent{contentType: "application/json", body: `{"sign":` + quoted(sig) + `,"bizData":` + jsonOf(members) + "}"}
	g := c.post(t, note)
	require.Equal(t, http.StatusOK, g.status, g.body)
	assert.Equal(t, note.body, app.calls()[0].body)

	for i := range members {
		changed := append([]member{}, members...)
		changed[i].value += "1"
		refused(t, c, app, sent{contentType: "application/json", body: `{"sign":` + quoted(sig) + `,"bizData":` + jsonOf(changed) + "}"},
			"notification_signature_invalid")
	}
	// The older family says data.
	old := "\tcountersign_notify easypay {\n\t\tkeys easypay/published\n\t\texpect data.oriOrgTrace ORG04785*\n\t}\n" + app.proxy()
	c.load(t, old)
	g = c.post(t, sent{contentType: "application/json", body: `{"sign":` + quoted(sig) + `,"data":` + jsonOf(members) + "}"})
	require.Equal(t, http.StatusOK, g.status, g.body)
}
