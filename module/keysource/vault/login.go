package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// The ways to log in.
const (
	methodKubernetes = "kubernetes"
	methodAppRole    = "approle"
	methodTokenFile  = "token_file"
)

// login gets a token. What is in files is read each time: service account
// tokens, secret ids and the tokens of an agent are replaced.
func (s *session) login(ctx context.Context) (grant, error) {
	if s.auth.Method == methodTokenFile {
		return s.loginByToken(ctx)
	}
	body, err := s.auth.credentials()
	if err != nil {
		return grant{}, err
	}
	secret, err := s.client.do(ctx, request{
		path: "auth/" + s.auth.Mount + "/login", body: body,
		once: true, // a secret id may be good for one login only
	}, "")
	if isStatus(err, http.StatusBadRequest) || isStatus(err, http.StatusForbidden) {
		e, _ := errors.AsType[*statusError](err)
		return grant{}, fmt.Errorf("vault refuses the login by %s at auth/%s (status %d); check the role, the mount and %s", s.auth.Method, s.auth.Mount, e.status, s.auth.files())
	}
	if err != nil {
		return grant{}, fmt.Errorf("logging in to vault by %s: %w", s.auth.Method, err)
	}
	if secret.Auth == nil || secret.Auth.ClientToken == "" {
		return grant{}, fmt.Errorf("vault's answer to the login by %s holds no token", s.auth.Method)
	}
	return newGrant(secret.Auth.ClientToken, secret.Auth.Renewable, secret.Auth.LeaseDuration), nil
}

// loginByToken takes the token from the file, if Vault takes it.
func (s *session) loginByToken(ctx context.Context) (grant, error) {
	token, err := readSmall(s.auth.TokenFile, "the file of the token")
	if err != nil {
		return grant{}, err
	}
	if strings.HasPrefix(token, "{") {
		return grant{}, fmt.Errorf("%s holds JSON, as a Vault Agent writes a wrapped token or vault login prints, and the sidecar needs the token itself; %s", s.auth.TokenFile, adviceWrapping)
	}
	secret, err := s.client.do(ctx, request{path: pathSelf}, token)
	if isStatus(err, http.StatusForbidden) {
		return grant{}, s.refusedToken(ctx, token)
	}
	if isStatus(err, http.StatusBadRequest) || isStatus(err, http.StatusInternalServerError) {
		err = fmt.Errorf("%w; %s", err, noToken(token)) // Vault fails where a token has letters that none has
	}
	if err != nil {
		return grant{}, fmt.Errorf("trying the token in %s: %w", s.auth.TokenFile, err)
	}
	renewable, _ := secret.Data["renewable"].(bool)
	return newGrant(token, renewable, whole(secret.Data["ttl"])), nil
}

// refusedToken says why Vault does not take the token of the file. A wrapping
// token is not exchanged for the token in it: that works once, and the file is
// read again after a restart, and by "caddy countersign doctor".
func (s *session) refusedToken(ctx context.Context, token string) error {
	_, err := s.client.do(ctx, request{path: "sys/wrapping/lookup", body: map[string]any{"token": token}}, "")
	if err == nil {
		return fmt.Errorf("%s holds a wrapping token, and the sidecar needs the token itself; %s", s.auth.TokenFile, adviceWrapping)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return !isTokenLetter(r) }) {
		return fmt.Errorf("vault does not take the token in %s; %s", s.auth.TokenFile, noToken(token))
	}
	return fmt.Errorf("vault does not take the token in %s; it has ended, or it lacks the policy default, or it is a wrapping token that was used: write another one", s.auth.TokenFile)
}

// isTokenLetter reports whether tokens that Vault makes have a letter.
func isTokenLetter(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("._-", r)
}

// noToken says what a text looks like that is no token.
func noToken(text string) string {
	switch {
	case strings.Trim(text, "\"'`") != text:
		return "it stands in quotes; write nothing but the token itself"
	case strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2:
		return "it is a JWT, such as that of a service account, with which auth kubernetes logs in"
	case strings.Contains(text, "="):
		return "it has a =, as in VAULT_TOKEN=…; write nothing but the token itself"
	case len(text) > 4096:
		return "it is longer than a token"
	default:
		return "it may be no token of Vault's; write nothing but the token itself"
	}
}

const adviceWrapping = "remove wrap_ttl from the sink of the Vault Agent, or unwrap it first (vault unwrap)"

// renew makes a token live longer.
func (s *session) renew(ctx context.Context, current grant) (grant, error) {
	secret, err := s.client.do(ctx, request{path: "auth/token/renew-self", body: map[string]any{}}, current.token)
	if err != nil {
		return grant{}, fmt.Errorf("renewing the token: %w", err)
	}
	if secret.Auth == nil {
		return grant{}, errors.New("vault's answer to the renewal holds no token")
	}
	current.expires = time.Now().Add(time.Duration(secret.Auth.LeaseDuration) * time.Second)
	current.renewable = secret.Auth.Renewable
	return current, nil
}

func newGrant(token string, renewable bool, seconds int) grant {
	now, lease := time.Now(), time.Duration(seconds)*time.Second
	return grant{token: token, renewable: renewable, lease: lease, since: now, expires: now.Add(lease)}
}

// credentials reads what a login sends.
func (a *Auth) credentials() (map[string]any, error) {
	if a.Method == methodKubernetes {
		jwt, err := readSmall(a.TokenFile, "the file of the service account's token")
		return map[string]any{"role": a.Role, "jwt": jwt}, err
	}
	roleID, err := readSmall(a.RoleIDFile, "the file of the role id")
	if err != nil {
		return nil, err
	}
	secretID, err := readSmall(a.SecretIDFile, "the file of the secret id")
	return map[string]any{"role_id": roleID, "secret_id": secretID}, err
}

// files names what a login reads.
func (a *Auth) files() string {
	if a.Method == methodKubernetes {
		return "the token in " + a.TokenFile
	}
	return "the ids in " + a.RoleIDFile + " and " + a.SecretIDFile
}

// rotated reads the file of the token, where there is one, and tells whether
// another token stands in it.
func (a *Auth) rotated() func(current string) bool {
	if a.Method != methodTokenFile {
		return func(string) bool { return false }
	}
	token, err := readSmall(a.TokenFile, "the file of the token")
	return func(current string) bool { return err == nil && token != current }
}

// readSmall reads a file that holds one short text of visible ASCII, which is
// what tokens and ids are, on one line or as JSON. It skips a byte order mark.
// Its errors name the file, never what is in it.
func readSmall(path, what string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "", fmt.Errorf("%s, %s, is UTF-16; save it as UTF-8 or ASCII", what, path)
	}
	value := strings.TrimSpace(string(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	switch {
	case strings.HasPrefix(value, "{"):
		return value, nil
	case value == "" || len(value) > 64<<10 || strings.ContainsAny(value, "\r\n\x00"):
		return "", fmt.Errorf("%s, %s, must hold one text on one line", what, path)
	case strings.ContainsFunc(value, func(r rune) bool { return r < '!' || r > '~' }):
		return "", fmt.Errorf("%s, %s, holds a blank or a character that is not ASCII; write nothing but the text itself", what, path)
	}
	return value, nil
}
