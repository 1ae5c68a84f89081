package vaulttest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// EnableKV mounts a KV engine of version 2 and waits until it is usable.
func (s *Server) EnableKV(mount string) error {
	if err := s.mount(mount, &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		return err
	}
	s.mu.Lock()
	s.kv = append(s.kv, mount)
	s.mu.Unlock()
	return s.awaitKV(mount)
}

// awaitKV waits out the moment after a mount or an unseal in which KV version
// 2 refuses everything because it looks whether its data must be upgraded.
func (s *Server) awaitKV(mount string) error {
	deadline := time.Now().Add(startLimit)
	for {
		_, err := s.client.Logical().Read(mount + "/config")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || !strings.Contains(err.Error(), "Upgrading") {
			return fmt.Errorf("waiting for Vault's engine at %s: %w", mount, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) mount(path string, input *api.MountInput) error {
	if err := s.client.Sys().Mount(path, input); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", input.Type, path, err)
	}
	s.onClose(func() error { return s.client.Sys().Unmount(path) })
	return nil
}

// PutSecret writes a new version of the secret at path in a KV engine of
// version 2, and returns the version's number.
func (s *Server) PutSecret(mount, path string, fields map[string]string) (version int, err error) {
	data := make(map[string]any, len(fields))
	for name, value := range fields {
		data[name] = value
	}
	secret, err := s.client.KVv2(mount).Put(context.Background(), path, data)
	if err != nil {
		return 0, fmt.Errorf("writing the secret %s/%s: %w", mount, path, err)
	}
	return secret.VersionMetadata.Version, nil
}

// DeleteSecret removes a secret with all its versions.
func (s *Server) DeleteSecret(mount, path string) error {
	if err := s.client.KVv2(mount).DeleteMetadata(context.Background(), path); err != nil {
		return fmt.Errorf("deleting the secret %s/%s: %w", mount, path, err)
	}
	return nil
}

// WritePolicy writes a policy in Vault's language, or replaces it.
func (s *Server) WritePolicy(name, rules string) error {
	if err := s.client.Sys().PutPolicy(name, rules); err != nil {
		return fmt.Errorf("writing the policy %s: %w", name, err)
	}
	s.onClose(func() error { return s.client.Sys().DeletePolicy(name) })
	return nil
}

// EnableAudit has Vault write each request and response to file from now on.
func (s *Server) EnableAudit(file string) error {
	err := s.client.Sys().EnableAuditWithOptions("vaulttest", &api.EnableAuditOptions{
		Type:    "file",
		Options: map[string]string{"file_path": file},
	})
	if err != nil {
		return fmt.Errorf("enabling Vault's audit log: %w", err)
	}
	s.onClose(func() error { return s.client.Sys().DisableAudit("vaulttest") })
	return nil
}
