package check

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Manifest is one object as `kubectl apply -k` would send it.
type Manifest struct {
	Kind, Name string
	YAML       []byte
}

// Build renders the kustomization in dir as `kubectl kustomize` does.
func Build(dir string) ([]Manifest, error) {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", dir, err)
	}
	var manifests []Manifest
	for _, resource := range rendered.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("rendering %s: %w", resource.CurId(), err)
		}
		manifests = append(manifests, Manifest{resource.GetKind(), resource.GetName(), text})
	}
	return manifests, nil
}

// PodTemplate returns the pod that a workload makes, or nil for another kind.
func (m Manifest) PodTemplate() (*corev1.PodTemplateSpec, error) {
	obj, err := decode(m.YAML)
	if err != nil {
		return nil, err
	}
	switch workload := obj.(type) {
	case *appsv1.Deployment:
		return &workload.Spec.Template, nil
	case *appsv1.StatefulSet:
		return &workload.Spec.Template, nil
	case *batchv1.Job:
		return &workload.Spec.Template, nil
	}
	return nil, nil
}

// CheckReferences finds what the API server lets through and the kubelet then
// waits for: a pod whose ConfigMap is not among the manifests.
func CheckReferences(manifests []Manifest) error {
	have := map[string]bool{}
	for _, m := range manifests {
		if m.Kind == "ConfigMap" {
			have[m.Name] = true
		}
	}
	for _, m := range manifests {
		template, err := m.PodTemplate()
		if err != nil {
			return fmt.Errorf("%s %s: %w", m.Kind, m.Name, err)
		}
		if template == nil {
			continue
		}
		for _, volume := range template.Spec.Volumes {
			if volume.ConfigMap != nil && !have[volume.ConfigMap.Name] {
				return fmt.Errorf("%s %s: volume %s wants ConfigMap %s, which is not built", m.Kind, m.Name, volume.Name, volume.ConfigMap.Name)
			}
		}
	}
	return nil
}
