package check

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/yaml"
)

const (
	podSpec = "/spec/template/spec"
	sidecar = podSpec + "/initContainers/0"
)

// planted is one mistake in an object that is otherwise admitted: the value set
// at path, or the member there removed where value is nil.
type planted struct {
	mistake string
	path    string
	value   any
	found   string
}

func TestErrorsPlantedInEachKindAreFound(t *testing.T) {
	inAnyPod := []planted{
		{"misspelt field", sidecar + "/readinesProbe", map[string]any{}, "unknown field"},
		{"field of the wrong type", sidecar + "/ports/0/containerPort", "8081", "cannot unmarshal"},
		{"restart policy that does not exist", sidecar + "/restartPolicy", "Sometimes", "restartPolicy"},
		{"probes of a container that ends", sidecar + "/restartPolicy", nil, "readinessProbe"},
		{"port name too long", sidecar + "/ports/0/name", "countersign-probes", "must be no more than 15"},
		{"port out of range", sidecar + "/ports/0/containerPort", 80810, "containerPort"},
		{"probe on a port of no number", sidecar + "/livenessProbe/httpGet/port", 0, "port"},
		{"probe every minus one second", sidecar + "/startupProbe/periodSeconds", -1, "periodSeconds"},
		{"liveness with two successes", sidecar + "/livenessProbe/successThreshold", 2, "successThreshold"},
		{"no image", sidecar + "/image", "", "image"},
		{"request above limit", sidecar + "/resources/requests/memory", "1Gi", "must be less than or equal to memory limit"},
		{"quantity that is none", sidecar + "/resources/limits/memory", "256MB-ish", "quantit"},
		{"mount without a volume", sidecar + "/volumeMounts/0/name", "countersign-cofnig", "Not found"},
		{"two mounts at one path", sidecar + "/volumeMounts/1/mountPath", "/etc/countersign", "must be unique"},
		{"two containers of one name", podSpec + "/containers/0/name", "countersign", "Duplicate value"},
		{"name of a container in capitals", sidecar + "/name", "Countersign", "lowercase RFC 1123"},
		{"volume of two sources", podSpec + "/volumes/1/hostPath", map[string]any{"path": "/"}, "may not specify more than 1 volume type"},
		{"grace period below zero", podSpec + "/terminationGracePeriodSeconds", -1, "terminationGracePeriodSeconds"},
		{"label without a name", "/spec/template/metadata/labels/countersign~1", "x", "labels"},
	}
	withASelector := []planted{
		{"no selector", "/spec/selector", nil, "selector"},
		{"selector that misses its pods", "/spec/template/metadata/labels/app.kubernetes.io~1name", "other", "selector"},
	}
	inATokenVolume := []planted{
		{"token for five seconds", podSpec + "/volumes/2/projected/sources/0/serviceAccountToken/expirationSeconds", 5, "10 minutes"},
		{"token for a century", podSpec + "/volumes/2/projected/sources/0/serviceAccountToken/expirationSeconds", 1 << 33, "2^32"},
		{"token without a file", podSpec + "/volumes/2/projected/sources/0/serviceAccountToken/path", "", "path"},
		{"token outside its volume", podSpec + "/volumes/2/projected/sources/0/serviceAccountToken/path", "../token", "'..'"},
	}
	forPodSecurity := []planted{
		{"root", sidecar + "/securityContext/runAsUser", 0, "runAsUser=0"},
		{"maybe root", sidecar + "/securityContext/runAsNonRoot", false, "runAsNonRoot"},
		{"escalation", sidecar + "/securityContext/allowPrivilegeEscalation", nil, "allowPrivilegeEscalation"},
		{"capability", sidecar + "/securityContext/capabilities/add", []string{"NET_ADMIN"}, "capabilities"},
		{"capabilities not dropped", sidecar + "/securityContext/capabilities", nil, "capabilities"},
		{"no seccomp", sidecar + "/securityContext/seccompProfile/type", "Unconfined", "seccompProfile"},
		{"the node's files", podSpec + "/volumes/1", map[string]any{"name": "countersign-run", "hostPath": map[string]any{"path": "/run"}}, "hostPath"},
		{"the node's network", podSpec + "/hostNetwork", true, "hostNetwork"},
		{"host of a probe", sidecar + "/livenessProbe/httpGet/host", "10.0.0.1", "probe or lifecycle host"},
	}
	for _, test := range []struct {
		dir, kind, name string
		mistakes        []planted
	}{
		{"../example", "Deployment", "shop", slices.Concat(inAnyPod, withASelector, inATokenVolume, forPodSecurity, []planted{
			{"replicas below zero", "/spec/replicas", -1, "replicas"},
			{"unknown strategy", "/spec/strategy", map[string]any{"type": "Rollling"}, "strategy"},
		})},
		{ledger, "StatefulSet", "ledger", slices.Concat(inAnyPod, withASelector, []planted{
			{"claim without a size", "/spec/volumeClaimTemplates/0/spec/resources", nil, "storage"},
			{"volume of the application misspelt", podSpec + "/containers/0/volumeMounts/1/name", "databse", "Not found"},
		})},
		{"../example", "Job", "settlement", slices.Concat(inAnyPod, inATokenVolume, forPodSecurity, []planted{
			{"restarts always", podSpec + "/restartPolicy", "Always", "restartPolicy"},
			{"no restart policy", podSpec + "/restartPolicy", nil, "restartPolicy"},
			{"backoff below zero", "/spec/backoffLimit", -1, "backoffLimit"},
		})},
		{"../example-secret", "Deployment", "shop", []planted{
			{"token mount left over", sidecar + "/volumeMounts/0/name", "countersign-vault-token", "Not found"},
			{"key set outside its volume", podSpec + "/volumes/0/projected/sources/0/secret/items/0/path", "../sign.pem", "'..'"},
			{"two keys in one file", podSpec + "/volumes/0/projected/sources/0/secret/items/0/path", "easypay/ORG000000000007/verify.pem", "conflicting duplicate paths"},
			{"volume left out", podSpec + "/volumes/0", nil, "Not found"},
		}},
		{"../example", "NetworkPolicy", "countersign", []planted{
			{"address range that is none", "/spec/egress/1/to/0/ipBlock/cidr", "0.0.0.0/33", "cidr"},
			{"exception outside its range", "/spec/egress/1/to/1/ipBlock/except/0", "10.0.0.0/8", "except"},
			{"range that ends before it begins", "/spec/egress/1/ports/0/endPort", 80, "endPort"},
			{"protocol in small letters", "/spec/egress/0/ports/0/protocol", "udp", "protocol"},
			{"port out of range", "/spec/ingress/0/ports/0/port", 81081, "port"},
			{"address and label at once", "/spec/egress/1/to/0/podSelector", map[string]any{}, "may not specify both ipBlock and another peer"},
			{"type that does not exist", "/spec/policyTypes/1", "Engress", "policyTypes"},
			{"misspelt field", "/spec/ingres", []any{}, "unknown field"},
			{"selector with a bad key", "/spec/podSelector/matchLabels/counter sign", "x", "matchLabels"},
		}},
		{"../example", "ConfigMap", "countersign", []planted{
			{"file name with a slash", "/data/providers~1easypay.caddyfile", "", "valid config key"},
			{"file that is no text", "/data/provider-easypay.caddyfile", 42, "cannot unmarshal"},
			{"larger than etcd takes", "/data/vault-ca.pem", string(make([]byte, 1<<20)), "Too long"},
			{"file twice", "/binaryData", map[string]any{"Caddyfile": ""}, "duplicate of key"},
			{"name in capitals", "/metadata/name", "Countersign", "lowercase RFC 1123"},
		}},
		{"../example", "ServiceAccount", "shop", []planted{
			{"name in capitals", "/metadata/name", "Shop", "lowercase RFC 1123"},
			{"misspelt field", "/automountServiceAcountToken", false, "unknown field"},
			{"field of the wrong type", "/automountServiceAccountToken", "false", "cannot unmarshal"},
		}},
		{"../example", "Namespace", "shop", []planted{
			{"name with a dot", "/metadata/name", "shop.example", "must not contain dots"},
			{"label that is too long", "/metadata/labels/owner", string(make([]byte, 64)), "labels"},
			{"misspelt field", "/metadata/lables", map[string]any{}, "unknown field"},
		}},
		{ledger, "Secret", "ledger-database", []planted{
			{"value that is not Base64", "/data", map[string]any{"password": "%"}, "illegal base64"},
			{"key with a slash", "/stringData/easypay~1sign.pem", "x", "valid config key"},
			{"field of the wrong type", "/stringData/password", 1, "cannot unmarshal"},
			{"type changed to one that wants more", "/type", "kubernetes.io/tls", "tls.crt"},
		}},
	} {
		t.Run(test.kind+" of "+filepath.Base(test.dir), func(t *testing.T) {
			good := find(t, build(t, test.dir), test.kind, test.name)
			require.NoError(t, errors.Join(Admit(good.YAML), Restricted(good)))
			for _, plant := range test.mistakes {
				t.Run(plant.mistake, func(t *testing.T) {
					bad := good
					bad.YAML = plant.in(t, good.YAML)
					assert.ErrorContains(t, errors.Join(Admit(bad.YAML), Restricted(bad)), plant.found)
				})
			}
		})
	}
}

var elementOfList = regexp.MustCompile(`/\d+$`)

func (p planted) in(t *testing.T, manifest []byte) []byte {
	t.Helper()
	operations := []any{map[string]any{"op": "add", "path": p.path, "value": p.value}}
	switch {
	case p.value == nil:
		operations = []any{map[string]any{"op": "remove", "path": p.path}}
	case elementOfList.MatchString(p.path): // where "add" would shove the old one aside
		operations = []any{map[string]any{"op": "replace", "path": p.path, "value": p.value}}
	}
	encoded, err := json.Marshal(operations)
	require.NoError(t, err)
	patch, err := jsonpatch.DecodePatch(encoded)
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSON(manifest)
	require.NoError(t, err)
	broken, err := patch.Apply(asJSON)
	require.NoError(t, err)
	return broken
}

func TestAConfigMapThatIsNotBuiltIsFound(t *testing.T) {
	var rest []Manifest
	for _, m := range build(t, "../example") {
		if m.Kind != "ConfigMap" {
			rest = append(rest, m)
		}
	}
	assert.ErrorContains(t, CheckReferences(rest), "which is not built")
}

// Errors in the kustomizations themselves: each in a copy of all that ships.
func TestErrorsPlantedInKustomizationsAreFound(t *testing.T) {
	for _, test := range []struct{ mistake, file, old, new, found string }{
		{"unknown field", "component/kustomization.yaml", "patches:", "pathces:", "unknown field"},
		{"kind that cannot add", "component/kustomization.yaml", "kind: Component", "kind: Kustomization", "apiVersion for Kustomization should be"},
		{"patch that is not there", "component/kustomization.yaml", "path: sidecar.yaml", "path: sidcar.yaml", "sidcar.yaml"},
		{"patch that is not YAML", "component/sidecar.yaml", "      initContainers:", "     initContainers:", "unable to parse SM or JSON patch"},
		{"file of the application missing", "example/kustomization.yaml", "keys.caddyfile", "key.caddyfile", "key.caddyfile"},
		{"ConfigMap of another name", "example/kustomization.yaml", "name: countersign", "name: countersing", "cannot merge or replace"},
		{"rule for Vault moved", "component/network-policy.yaml", "port: 8200", "port: 8201", "testing value"},
		{"label forgotten", "example/application/application.yaml", "    countersign/sidecar: enabled\n", "", "countersign~1sidecar"},
		{"label misspelt", "example/application/application.yaml", "countersign/sidecar: enabled", "countersign/sidcar: enabled", "countersign~1sidecar"},
		{"label of another value", "example/application/application.yaml", "countersign/sidecar: enabled", "countersign/sidecar: yes-please", "countersign~1sidecar"},
		{"member twice", "example/application/application.yaml", "  replicas: 2", "  replicas: 2\n  replicas: 3", "already defined"},
	} {
		t.Run(test.mistake, func(t *testing.T) {
			root := folder(t)
			for _, dir := range []string{"component", "component-secret", "example", "example-secret"} {
				require.NoError(t, os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("..", dir))))
			}
			path := filepath.Join(root, test.file)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			broken := []byte(replaceOnce(t, string(text), test.old, test.new))
			require.NoError(t, os.WriteFile(path, broken, 0o600))

			_, vault := Build(filepath.Join(root, "example"))
			_, secret := Build(filepath.Join(root, "example-secret"))
			assert.ErrorContains(t, errors.Join(vault, secret), test.found)
		})
	}
}

// folder is t.TempDir without the test's name, which an error would repeat and so
// seem to say what is expected.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "")
	require.NoError(t, err)
	return dir
}

func replaceOnce(t *testing.T, text, old, replacement string) string {
	t.Helper()
	require.Contains(t, text, old)
	return strings.Replace(text, old, replacement, 1)
}
