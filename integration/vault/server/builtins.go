package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
)

// builtins is the registry of what is compiled in. Vault's own would link
// every engine and login method there is; without any a mount panics.
type builtins struct {
	engines map[string]logical.Factory
	logins  map[string]logical.Factory
}

// of returns the factories of one type of plugin.
func (b builtins) of(t consts.PluginType) map[string]logical.Factory {
	switch t {
	case consts.PluginTypeSecrets:
		return b.engines
	case consts.PluginTypeCredential:
		return b.logins
	default:
		return nil
	}
}

func (b builtins) Contains(name string, t consts.PluginType) bool {
	_, ok := b.of(t)[name]
	return ok
}

func (b builtins) Get(name string, t consts.PluginType) (func() (any, error), bool) {
	factory, ok := b.of(t)[name]
	return func() (any, error) { return factory, nil }, ok
}

func (b builtins) Keys(t consts.PluginType) []string {
	return slices.Sorted(maps.Keys(b.of(t)))
}

func (b builtins) DeprecationStatus(name string, t consts.PluginType) (consts.DeprecationStatus, bool) {
	if !b.Contains(name, t) {
		return consts.Unknown, false
	}
	return consts.Supported, true
}

func (b builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

// enableAudit writes an entry for each request and each response to file from
// now on; Vault keeps the setting in its storage.
func enableAudit(ctx context.Context, core *vault.Core, token, file string) error {
	_, err := core.HandleRequest(namespace.RootContext(ctx), &logical.Request{
		Operation:   logical.UpdateOperation,
		Path:        "sys/audit/file",
		ClientToken: token,
		Data: map[string]any{
			"type":    "file",
			"options": map[string]any{"file_path": file},
		},
	})
	if err != nil {
		return fmt.Errorf("enabling the audit log: %w", err)
	}
	return nil
}
