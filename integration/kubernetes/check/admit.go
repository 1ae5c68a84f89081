// Package check asks of the manifests of integration/kubernetes what the API server
// would ask, without a cluster: it builds them with kustomize, decodes them strictly,
// sets the defaults and runs the API server's own validation and Pod Security
// "restricted". It is a separate Go module, so that none of Kubernetes reaches the
// product's go.mod.
package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// strategies are what the API server's storage runs for each kind when an object
// is created. A kind that is missing here is an error, not a pass.
var strategies = map[schema.GroupKind]rest.RESTCreateStrategy{
	{Kind: "Namespace"}:                                 namespace.Strategy,
	{Kind: "ServiceAccount"}:                            serviceaccount.Strategy,
	{Kind: "ConfigMap"}:                                 configmap.Strategy,
	{Kind: "Secret"}:                                    secret.Strategy,
	{Group: "apps", Kind: "Deployment"}:                 deployment.Strategy,
	{Group: "apps", Kind: "StatefulSet"}:                statefulset.Strategy,
	{Group: "batch", Kind: "Job"}:                       job.Strategy,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}: networkpolicy.Strategy,
}

var strict = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)

// Admit does with a manifest what the API server does between receiving and
// storing it, its admission plugins aside: strict decoding, defaults, and the
// validation of the kind's strategy. A warning that kubectl would print is an
// error here.
func Admit(manifest []byte) error {
	_, gvk, err := strict.UniversalDeserializer().Decode(manifest, nil, nil)
	if err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	// The universal decoder also sets the defaults and converts to the internal
	// version, which is what the validation takes.
	obj, _, err := strict.UniversalDecoder().Decode(manifest, nil, nil)
	if err != nil {
		return fmt.Errorf("converting %s: %w", gvk.Kind, err)
	}
	strategy, known := strategies[gvk.GroupKind()]
	if !known {
		return fmt.Errorf("no validation is wired for %s", gvk.GroupKind())
	}
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return fmt.Errorf("reading the metadata of %s: %w", gvk.Kind, err)
	}
	rest.FillObjectMetaSystemFields(accessor)

	said := &warnings{}
	ctx := warning.WithWarningRecorder(context.Background(), said)
	ctx = request.WithNamespace(ctx, accessor.GetNamespace())
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true,
		Verb:              "create",
		APIGroup:          gvk.Group,
		APIVersion:        gvk.Version,
		Namespace:         accessor.GetNamespace(),
	})
	if err := rest.BeforeCreate(strategy, ctx, obj); err != nil {
		return fmt.Errorf("validating: %w", err)
	}
	return said.err()
}

type warnings struct{ texts []string }

func (w *warnings) AddWarning(_, text string) { w.texts = append(w.texts, text) }

func (w *warnings) err() error {
	if len(w.texts) == 0 {
		return nil
	}
	return errors.New("warning: " + strings.Join(w.texts, "; "))
}

// Restricted holds the pod of a workload against the Pod Security Standard
// "restricted" in its newest version. Kinds without a pod pass.
func Restricted(m Manifest) error {
	template, err := m.PodTemplate()
	if err != nil || template == nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return fmt.Errorf("preparing the Pod Security checks: %w", err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec))
	if !result.Allowed {
		return fmt.Errorf("pod security: %s", result.ForbiddenDetail())
	}
	return nil
}

func decode(manifest []byte) (runtime.Object, error) {
	obj, _, err := strict.UniversalDeserializer().Decode(manifest, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	return obj, nil
}
