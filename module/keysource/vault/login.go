package vault

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// The ways to log in.
const (
	methodKubernetes = "kubernetes"
	methodAppRole    = "approle"
	methodTokenFile  = "token_file"
)

// login returns a new token. It reads the files each time, because service account
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
		return grant{}, i18n.Errorf("vault refuses the login by %s at auth/%s (status %d); check the role, the mount and %s", s.auth.Method, s.auth.Mount, e.status, s.auth.files())
	}
	if err != nil {
		return grant{}, i18n.Errorf("logging in to vault by %s: %w", s.auth.Method, err)
	}
	if secret.Auth == nil || secret.Auth.ClientToken == "" {
		return grant{}, i18n.Errorf("vault's answer to the login by %s holds no token", s.auth.Method)
	}
	return newGrant(secret.Auth.ClientToken, secret.Auth.Renewable, secret.Auth.LeaseDuration), nil
}

// loginByToken returns the token in the file, if Vault accepts it.
func (s *session) loginByToken(ctx context.Context) (grant, error) {
	token, err := readSmall(s.auth.TokenFile, i18n.T("the file of the token"))
	if err != nil {
		return grant{}, err
	}
	if strings.HasPrefix(token, "{") {
		return grant{}, i18n.Errorf("%s holds JSON, as a Vault Agent writes a wrapped token or vault login prints, and the sidecar needs the token itself; %s", s.auth.TokenFile, adviceWrapping)
	}
	if err := s.checkWrapping(ctx, token); err != nil {
		return grant{}, err
	}
	secret, err := s.client.do(ctx, request{path: pathSelf}, token)
	if isStatus(err, http.StatusForbidden) {
		return grant{}, s.refusedToken(token)
	}
	if isStatus(err, http.StatusBadRequest) || isStatus(err, http.StatusInternalServerError) {
		err = i18n.Errorf("%w; %s", err, noToken(token)) // Vault fails where a token has letters that none has
	}
	if err != nil {
		return grant{}, i18n.Errorf("trying the token in %s: %w", s.auth.TokenFile, err)
	}
	renewable, _ := secret.Data["renewable"].(bool)
	return newGrant(token, renewable, whole(secret.Data["ttl"])), nil
}

// checkWrapping refuses a wrapping token. It is looked up first: any other request with
// it, even one that Vault refuses, uses it up. It is not exchanged for the token in it:
// that works once, and the file is read again after a restart, and by "caddy
// countersign doctor".
func (s *session) checkWrapping(ctx context.Context, token string) error {
	secret, err := s.client.do(ctx, request{path: "sys/wrapping/lookup", body: map[string]any{"token": token}}, "")
	if err == nil && secret.Data["creation_path"] != nil {
		return i18n.Errorf("%s holds a wrapping token, and the sidecar needs the token itself; %s", s.auth.TokenFile, adviceWrapping)
	}
	if _, answered := errors.AsType[*statusError](err); err != nil && !answered {
		return i18n.Errorf("trying the token in %s: %w", s.auth.TokenFile, err)
	}
	return nil
}

// refusedToken returns why Vault does not accept the token of the file.
func (s *session) refusedToken(token string) error {
	if strings.ContainsFunc(token, func(r rune) bool { return !isTokenLetter(r) }) {
		return i18n.Errorf("vault does not take the token in %s; %s", s.auth.TokenFile, noToken(token))
	}
	return i18n.Errorf("vault does not take the token in %s; it has ended, or it lacks the policy default, or it is a wrapping token that was used: write another one", s.auth.TokenFile)
}

// isTokenLetter reports whether tokens that Vault makes have a letter.
func isTokenLetter(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("._-", r)
}

// noToken says what a text looks like that is not a token.
func noToken(text string) i18n.Text {
	switch {
	case strings.Trim(text, "\"'`") != text:
		return i18n.T("it stands in quotes; write nothing but the token itself")
	case strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2:
		return i18n.T("it is a JWT, such as that of a service account, with which auth kubernetes logs in")
	case strings.Contains(text, "="):
		return i18n.T("it has a =, as in VAULT_TOKEN=…; write nothing but the token itself")
	case len(text) > 4096:
		return i18n.T("it is longer than a token")
	default:
		return i18n.T("it may be no token of Vault's; write nothing but the token itself")
	}
}

var adviceWrapping = i18n.T("remove wrap_ttl from the sink of the Vault Agent, or unwrap it first (vault unwrap)")

// renew extends the lease of a token.
func (s *session) renew(ctx context.Context, current grant) (grant, error) {
	secret, err := s.client.do(ctx, request{path: "auth/token/renew-self", body: map[string]any{}}, current.token)
	if err != nil {
		return grant{}, i18n.Errorf("renewing the token: %w", err)
	}
	if secret.Auth == nil {
		return grant{}, i18n.Errorf("vault's answer to the renewal holds no token")
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
		jwt, err := readSmall(a.TokenFile, i18n.T("the file of the service account's token"))
		return map[string]any{"role": a.Role, "jwt": jwt}, err
	}
	roleID, err := readSmall(a.RoleIDFile, i18n.T("the file of the role id"))
	if err != nil {
		return nil, err
	}
	secretID, err := readSmall(a.SecretIDFile, i18n.T("the file of the secret id"))
	return map[string]any{"role_id": roleID, "secret_id": secretID}, err
}

// files returns the names of the files that a login reads.
func (a *Auth) files() i18n.Text {
	if a.Method == methodKubernetes {
		return i18n.T("the token in %s", a.TokenFile)
	}
	return i18n.T("the ids in %s and %s", a.RoleIDFile, a.SecretIDFile)
}

// rotated reads the file of the token, if there is one. The function that it returns
// reports whether the file has another token.
func (a *Auth) rotated() func(current string) bool {
	if a.Method != methodTokenFile {
		return func(string) bool { return false }
	}
	token, err := readSmall(a.TokenFile, i18n.T("the file of the token"))
	return func(current string) bool { return err == nil && token != current }
}

// readSmall reads a file that holds one short text of visible ASCII, which is
// what tokens and ids are, on one line or as JSON. It skips a byte order mark.
// Its errors name the file, never what is in it.
func readSmall(path string, what i18n.Text) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", i18n.Errorf("reading %s: %w", what, err)
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "", i18n.Errorf("%s, %s, is UTF-16; save it as UTF-8 or ASCII", what, path)
	}
	value := strings.TrimSpace(string(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	switch {
	case strings.HasPrefix(value, "{"):
		return value, nil
	case value == "" || len(value) > 64<<10 || strings.ContainsAny(value, "\r\n\x00"):
		return "", i18n.Errorf("%s, %s, must hold one text on one line", what, path)
	case strings.ContainsFunc(value, func(r rune) bool { return r < '!' || r > '~' }):
		return "", i18n.Errorf("%s, %s, holds a blank or a character that is not ASCII; write nothing but the text itself", what, path)
	}
	return value, nil
}
