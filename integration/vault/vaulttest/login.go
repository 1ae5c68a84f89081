package vaulttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// Tokens say what the tokens that a login or CreateToken gives may do, and
// for how long. Zero durations are Vault's defaults (32 days).
type Tokens struct {
	Policies []string

	// TTL is how long a token lives before it must be renewed.
	TTL time.Duration

	// MaxTTL is how long it lives at all, however often it is renewed.
	MaxTTL time.Duration

	// Period, if it is set, takes the place of both: such a token lives on as
	// long as it is renewed within it.
	Period time.Duration
}

// role returns the form in which the login methods take it.
func (o Tokens) role() map[string]any {
	return map[string]any{
		"token_policies": o.Policies,
		"token_ttl":      o.TTL.String(),
		"token_max_ttl":  o.MaxTTL.String(),
		"token_period":   o.Period.String(),
	}
}

// CreateToken makes a renewable token. Revoking the root token's children
// does not touch it.
func (s *Server) CreateToken(o Tokens) (string, error) {
	renewable := true
	request := &api.TokenCreateRequest{
		Policies:  o.Policies,
		NoParent:  true,
		Renewable: &renewable,
	}
	for field, value := range map[*string]time.Duration{
		&request.TTL:            o.TTL,
		&request.ExplicitMaxTTL: o.MaxTTL,
		&request.Period:         o.Period,
	} {
		if value != 0 {
			*field = value.String()
		}
	}
	secret, err := s.client.Auth().Token().CreateOrphan(request)
	if err != nil {
		return "", fmt.Errorf("creating a token: %w", err)
	}
	return secret.Auth.ClientToken, nil
}

// RevokeToken makes a token worthless at once.
func (s *Server) RevokeToken(token string) error {
	if err := s.client.Auth().Token().RevokeTree(token); err != nil {
		return fmt.Errorf("revoking a token: %w", err)
	}
	return nil
}

// RevokeLogins revokes every token that a login method has given, for
// instance "approle" or "kubernetes": Vault forgets those who logged in.
func (s *Server) RevokeLogins(method string) error {
	if err := s.client.Sys().RevokePrefix("auth/" + method + "/login"); err != nil {
		return fmt.Errorf("revoking the logins of %s: %w", method, err)
	}
	return nil
}

// enableAuth enables a login method under its own name, unless it is.
func (s *Server) enableAuth(method string) error {
	err := s.client.Sys().EnableAuthWithOptions(method, &api.EnableAuthOptions{Type: method})
	if err != nil && !strings.Contains(err.Error(), "path is already in use") {
		return fmt.Errorf("enabling the login method %s: %w", method, err)
	}
	if err == nil {
		s.onClose(func() error { return s.client.Sys().DisableAuth(method) })
	}
	return nil
}

// writeRole writes a role of a login method.
func (s *Server) writeRole(method, name string, role map[string]any) error {
	path := "auth/" + method + "/role/" + name
	if _, err := s.client.Logical().Write(path, role); err != nil {
		return fmt.Errorf("writing the role %s: %w", path, err)
	}
	s.onClose(func() error {
		_, err := s.client.Logical().Delete(path)
		return err
	})
	return nil
}

// AppRole is a role for login by role id and secret id, and the two files
// that a client reads them from.
type AppRole struct {
	Name         string
	RoleIDFile   string
	SecretIDFile string

	server *Server
}

// CreateAppRole makes a role at the method's default mount (approle) and writes its
// role id and a secret id to files in dir.
func (s *Server) CreateAppRole(name, dir string, o Tokens) (*AppRole, error) {
	if err := s.enableAuth("approle"); err != nil {
		return nil, err
	}
	if err := s.writeRole("approle", name, o.role()); err != nil {
		return nil, err
	}
	secret, err := s.client.Logical().Read("auth/approle/role/" + name + "/role-id")
	if err != nil {
		return nil, fmt.Errorf("reading the role id of %s: %w", name, err)
	}
	roleID, _ := secret.Data["role_id"].(string)
	role := &AppRole{
		Name:         name,
		RoleIDFile:   filepath.Join(dir, name+".role-id"),
		SecretIDFile: filepath.Join(dir, name+".secret-id"),
		server:       s,
	}
	if err := os.WriteFile(role.RoleIDFile, []byte(roleID+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing the role id: %w", err)
	}
	return role, role.RotateSecretID()
}

// RotateSecretID makes a new secret id, writes it to the file, and only then
// destroys the one that was there.
func (r *AppRole) RotateSecretID() error {
	path := "auth/approle/role/" + r.Name + "/secret-id"
	old, err := os.ReadFile(r.SecretIDFile)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("reading the old secret id: %w", err)
	}
	secret, err := r.server.client.Logical().Write(path, nil)
	if err != nil {
		return fmt.Errorf("making a secret id for %s: %w", r.Name, err)
	}
	fresh, _ := secret.Data["secret_id"].(string)
	if err := replaceFile(r.SecretIDFile, fresh+"\n"); err != nil {
		return err
	}
	if len(old) == 0 {
		return nil
	}
	destroy := map[string]any{"secret_id": strings.TrimSpace(string(old))}
	if _, err := r.server.client.Logical().Write(path+"/destroy", destroy); err != nil {
		return fmt.Errorf("destroying the old secret id of %s: %w", r.Name, err)
	}
	return nil
}

// replaceFile puts a file with the given text in the place of path in one
// step, as the kubelet and the Vault Agent do.
func replaceFile(path, text string) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	return nil
}
