// Command render prints the manifests of a kustomization, one JSON object a line,
// for the test with a real API server.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"github.com/countersign/caddy-countersign/integration/kubernetes/check"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: render <folder of a kustomization>")
		os.Exit(2)
	}
	manifests, err := check.Build(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, m := range manifests {
		object, err := yaml.YAMLToJSON(m.YAML)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%s\n", object)
	}
}
