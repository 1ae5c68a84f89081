package inspector_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// desk is a sidecar, the sandboxes and the inspector, as in the quickstart.
type desk struct {
	t        *testing.T
	caddy    *testcaddy.Caddy
	sidecar  string // address
	page     string // address
	upstream string // in place of the sandboxes
	token    string
}

func (d *desk) caddyfile(options string) string {
	return `{
	countersign {
		keys file ` + testcaddy.DevKeys("merchant") + `
		keys file ` + testcaddy.DevKeys("provider") + ` {
			name provider
		}
	}
}
` + port(d.sidecar) + ` {
	bind 127.0.0.1
	handle_path /easypay/* {
		countersign easypay ` + d.upstream + ` {
			keys easypay/ORG000000000007
		}
	}
	handle_path /jeepay/* {
		countersign jeepay ` + d.upstream + ` {
			keys jeepay/M1623997351
			mch_no M1623997351
			app_id 60cc3ba74ee0e6685f57eb1e
		}
	}
	handle /notify/jeepay {
		countersign_notify jeepay {
			keys jeepay/M1623997351
		}
		respond success
	}
	handle {
		countersign_problem unknown_route
	}
}
` + port(d.page) + ` {
	bind 127.0.0.1
	handle /ledger/* {
		countersign_sandbox easypay {
			keys provider easypay/ORG000000000007
		}
	}
	handle /api/division/* {
		countersign_sandbox jeepay {
			keys provider jeepay/M1623997351
			notify http://` + d.sidecar + `/notify/jeepay
		}
	}
	handle {
		countersign_inspector {
			` + options + `
		}
		countersign_problem unknown_route
	}
}
`
}

// port returns an address without the host: any Host is to reach the handlers.
func port(address string) string { return "http://" + strings.TrimPrefix(address, "127.0.0.1") }

func start(t *testing.T, options string) *desk {
	t.Helper()
	d := &desk{t: t, sidecar: testcaddy.FreeAddress(t), page: testcaddy.FreeAddress(t)}
	d.upstream = d.page
	d.run(options)
	return d
}

func (d *desk) run(options string) {
	d.t.Helper()
	d.caddy = testcaddy.Run(d.t, d.caddyfile(options))
	page := d.get("/")
	require.Equal(d.t, http.StatusOK, page.Status, "%s", page.Body)
	d.token = regexp.MustCompile(`name="token" content="([^"]+)"`).FindStringSubmatch(string(page.Body))[1]
}

func (d *desk) get(path string, change ...func(*http.Request)) *testcaddy.Answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.page+path, nil)
	require.NoError(d.t, err)
	for _, c := range change {
		c(r)
	}
	answer, err := testcaddy.Do(r)
	require.NoError(d.t, err)
	return answer
}

// ask posts to the workbench as the page does.
func (d *desk) ask(path string, question map[string]any, change ...func(*http.Request)) *testcaddy.Answer {
	d.t.Helper()
	text, err := json.Marshal(question)
	require.NoError(d.t, err)
	return testcaddy.Post(d.t, "http://"+d.page+path, text, append([]func(*http.Request){testcaddy.Header("Countersign-Token", d.token)}, change...)...)
}

// records returns those of the list.
func (d *desk) records() []map[string]any {
	d.t.Helper()
	var list struct{ Records []map[string]any }
	require.NoError(d.t, json.Unmarshal(d.get("/records").Body, &list))
	return list.Records
}

// route returns the number of a handler.
func (d *desk) route(kind, profile string) any {
	d.t.Helper()
	var list struct{ Routes []map[string]any }
	require.NoError(d.t, json.Unmarshal(d.get("/records").Body, &list))
	for _, r := range list.Routes {
		if r["kind"] == kind && r["profile"] == profile {
			return r["index"]
		}
	}
	d.t.Fatalf("there is no %s %s in %v", kind, profile, list.Routes)
	return nil
}

// record returns a record as a whole.
func (d *desk) record(id any) (map[string]any, string) {
	d.t.Helper()
	answer := d.get("/records/" + id.(string))
	require.Equal(d.t, http.StatusOK, answer.Status, "%s", answer.Body)
	return answer.JSON(d.t), string(answer.Body)
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testcaddy.Root(), "caddyfiles", "samples", name+".json"))
	require.NoError(t, err)
	return text
}

func (d *desk) pay(query string) *testcaddy.Answer {
	d.t.Helper()
	return testcaddy.Post(d.t, "http://"+d.sidecar+"/easypay/ledger/mpos"+query, sample(d.t, "easypay"))
}

// marksOf returns the marks of the members of a record, by their path.
func marksOf(rows any) map[string]map[string]any {
	marks := make(map[string]map[string]any)
	list, _ := rows.([]any)
	for _, r := range list {
		row := r.(map[string]any)
		marks[row["path"].(string)] = row
	}
	return marks
}
