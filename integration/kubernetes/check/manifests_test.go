package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

const ledger = "testdata/ledger"

// everyBuild is what ships, and a fixture for the kinds that the examples lack.
var everyBuild = []string{"../example", "../example-secret", "../example-small", ledger}

func build(t *testing.T, dir string) []Manifest {
	t.Helper()
	manifests, err := Build(dir)
	require.NoError(t, err)
	return manifests
}

func find(t *testing.T, manifests []Manifest, kind, name string) Manifest {
	t.Helper()
	for _, m := range manifests {
		if m.Kind == kind && strings.HasPrefix(m.Name, name) {
			return m
		}
	}
	require.FailNow(t, "not built", "%s %s", kind, name)
	return Manifest{}
}

func TestTheAPIServerWouldAdmitEverything(t *testing.T) {
	for _, dir := range everyBuild {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			manifests := build(t, dir)
			require.NotEmpty(t, manifests)
			for _, m := range manifests {
				assert.NoError(t, Admit(m.YAML), "%s %s", m.Kind, m.Name)
				assert.NoError(t, Restricted(m), "%s %s", m.Kind, m.Name)
			}
			assert.NoError(t, CheckReferences(manifests))
		})
	}
}

// workloads returns every pod template of a build that has the sidecar.
func workloads(t *testing.T, dir string) map[string]*corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]*corev1.PodTemplateSpec{}
	for _, m := range build(t, dir) {
		template, err := m.PodTemplate()
		require.NoError(t, err)
		if template != nil && m.Name != "storefront" {
			found[m.Kind] = template
		}
	}
	require.NotEmpty(t, found)
	return found
}

func TestEachKindOfWorkloadGetsTheSidecar(t *testing.T) {
	seen := map[string]bool{}
	for _, dir := range everyBuild {
		for kind, pod := range workloads(t, dir) {
			t.Run(filepath.Base(dir)+"/"+kind, func(t *testing.T) {
				seen[kind] = true
				sidecar := pod.Spec.InitContainers[0]
				require.Equal(t, "countersign", sidecar.Name, "the sidecar starts before the application's own init containers")
				require.NotNil(t, sidecar.RestartPolicy)
				assert.Equal(t, corev1.ContainerRestartPolicyAlways, *sidecar.RestartPolicy)

				assert.Equal(t, "/readyz", sidecar.StartupProbe.HTTPGet.Path, "the application waits for the keys")
				assert.Equal(t, "/readyz", sidecar.ReadinessProbe.HTTPGet.Path)
				assert.Equal(t, "/livez", sidecar.LivenessProbe.HTTPGet.Path, "Vault away must not restart the sidecar")
				require.Len(t, sidecar.Ports, 1)
				for _, probe := range []*corev1.Probe{sidecar.StartupProbe, sidecar.ReadinessProbe, sidecar.LivenessProbe} {
					assert.Equal(t, sidecar.Ports[0].Name, probe.HTTPGet.Port.String())
					assert.Empty(t, probe.HTTPGet.Host, "the kubelet asks the pod's address")
				}

				assert.Equal(t, "true", pod.Annotations["prometheus.io/scrape"])
				assert.Equal(t, "8081", pod.Annotations["prometheus.io/port"])
				assert.EqualValues(t, 8081, sidecar.Ports[0].ContainerPort)
				assert.Equal(t, "enabled", pod.Labels["countersign/sidecar"], "the network policy selects by it")

				memory := sidecar.Resources.Limits.Memory()
				assert.True(t, memory.Equal(*sidecar.Resources.Requests.Memory()))
			})
		}
	}
	assert.Equal(t, map[string]bool{"Deployment": true, "StatefulSet": true, "Job": true}, seen)
}

// What opens Vault, or is a key, is mounted in the sidecar alone.
func TestKeysAndTokenAreInNoOtherContainer(t *testing.T) {
	for _, dir := range everyBuild {
		for kind, pod := range workloads(t, dir) {
			t.Run(filepath.Base(dir)+"/"+kind, func(t *testing.T) {
				secrets := map[string]bool{}
				for _, volume := range pod.Spec.Volumes {
					if volume.Projected != nil {
						secrets[volume.Name] = true
					}
				}
				require.Len(t, secrets, 1)
				mounts := 0
				for _, mount := range pod.Spec.InitContainers[0].VolumeMounts {
					if secrets[mount.Name] {
						mounts++
						assert.True(t, mount.ReadOnly)
						assert.Empty(t, mount.SubPath, "a subPath does not see a rotation")
					}
				}
				assert.Equal(t, 1, mounts)
				others := append([]corev1.Container{}, pod.Spec.InitContainers[1:]...)
				for _, container := range append(others, pod.Spec.Containers...) {
					for _, mount := range container.VolumeMounts {
						assert.False(t, secrets[mount.Name], "%s mounts %s", container.Name, mount.Name)
					}
				}
			})
		}
	}
}

func TestTheTokenIsForVaultAndShortLived(t *testing.T) {
	for _, dir := range []string{"../example", ledger} {
		for _, pod := range workloads(t, dir) {
			volume := volumeNamed(t, pod, "countersign-vault-token")
			require.Len(t, volume.Projected.Sources, 1)
			token := volume.Projected.Sources[0].ServiceAccountToken
			require.NotNil(t, token)
			assert.Equal(t, "vault", token.Audience)
			assert.EqualValues(t, 600, *token.ExpirationSeconds)
		}
	}
}

func TestTheSecretVariantKnowsNothingOfVault(t *testing.T) {
	manifests := build(t, "../example-secret")
	for _, pod := range workloads(t, "../example-secret") {
		for _, volume := range pod.Spec.Volumes {
			assert.NotEqual(t, "countersign-vault-token", volume.Name)
		}
		keys := volumeNamed(t, pod, "countersign-keys")
		for _, source := range keys.Projected.Sources {
			assert.NotNil(t, source.Secret)
		}
	}
	for _, m := range manifests {
		if m.Kind != "Namespace" && m.Kind != "ConfigMap" {
			assert.NotContains(t, string(m.YAML), "vault", "%s %s", m.Kind, m.Name)
		}
	}
	var policy networkingv1.NetworkPolicy
	require.NoError(t, yaml.Unmarshal(find(t, manifests, "NetworkPolicy", "countersign").YAML, &policy))
	assert.Len(t, policy.Spec.Egress, 2, "names and providers")
}

func volumeNamed(t *testing.T, pod *corev1.PodTemplateSpec, name string) corev1.Volume {
	t.Helper()
	for _, volume := range pod.Spec.Volumes {
		if volume.Name == name {
			return volume
		}
	}
	require.FailNow(t, "no such volume", name)
	return corev1.Volume{}
}

// Taking away what the Component says that it adds gives back the application as
// it was: nothing else was touched.
func TestTheApplicationStaysAsItWas(t *testing.T) {
	for with, without := range map[string]string{
		"../example":        "../example/application",
		"../example-secret": "../example/application",
		"../example-small":  "../example/application",
	} {
		before := workloads(t, without)
		for kind, pod := range workloads(t, with) {
			t.Run(filepath.Base(with)+"/"+kind, func(t *testing.T) {
				pod.Spec.InitContainers = pod.Spec.InitContainers[1:]
				if len(pod.Spec.InitContainers) == 0 {
					pod.Spec.InitContainers = nil
				}
				pod.Spec.Volumes = nil // the application has none
				pod.Spec.TerminationGracePeriodSeconds = nil
				pod.Annotations = nil // nor has it annotations
				delete(pod.Labels, "countersign/sidecar")
				assert.Equal(t, before[kind], pod)
			})
		}
	}
}

func TestInitContainersAndVolumesOfTheApplicationStay(t *testing.T) {
	pod := workloads(t, ledger)["StatefulSet"]
	require.Len(t, pod.Spec.InitContainers, 2)
	assert.Equal(t, "migrate", pod.Spec.InitContainers[1].Name)
	assert.Nil(t, pod.Spec.InitContainers[1].RestartPolicy)
	assert.Equal(t, "ledger-database", volumeNamed(t, pod, "database").Secret.SecretName)
	assert.Equal(t, "finance", pod.Annotations["example.com/owner"])
	assert.Equal(t, "ledger", pod.Labels["app.kubernetes.io/name"])
}

func TestAWorkloadThatDoesNotPayIsLeftAlone(t *testing.T) {
	text := string(find(t, build(t, ledger), "Deployment", "storefront").YAML)
	assert.Equal(t, 1, strings.Count(text, "countersign"), "its label alone: %s", text)
}

// An application that forgets its part finds out when it builds, not in the
// cluster.
func TestBuildFailsWithoutTheApplicationsConfigMap(t *testing.T) {
	for _, component := range []string{"component", "component-secret"} {
		absolute, err := filepath.Abs("..")
		require.NoError(t, err)
		dir := t.TempDir()
		relative, err := filepath.Rel(dir, filepath.Join(absolute, component))
		require.NoError(t, err)
		text := "components: [" + relative + "]\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
		_, err = Build(dir)
		assert.ErrorContains(t, err, "countersign", component)
	}
}
