package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// session keeps a token that Vault takes. It works when it is asked, without a
// goroutine of its own: the looks at the keys come often enough.
type session struct {
	client *client
	auth   Auth

	mu        sync.Mutex
	current   string
	renewable bool
	lease     time.Duration // as it was granted at login; 0 for a token without end
	renewAt   time.Time
	expires   time.Time
}

// token returns a token, and logs in or renews if need be. Those who come
// while that is under way wait for it.
func (s *session) token(ctx context.Context) (string, error) {
	if s.auth.Method == "token_file" {
		return readSmall(s.auth.TokenFile, "the file of the token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.current != "" && (s.lease == 0 || now.Before(s.renewAt)) {
		return s.current, nil
	}
	if s.current != "" && s.renewable && now.Before(s.expires) {
		if err := s.renew(ctx); err == nil {
			return s.current, nil
		}
	}
	if err := s.login(ctx); err != nil {
		if s.current != "" && time.Now().Before(s.expires) {
			s.renewAt = time.Now().Add(time.Until(s.expires) / 3) // it still serves; try again later
			return s.current, nil
		}
		s.current = ""
		return "", err
	}
	return s.current, nil
}

// drop forgets a token that Vault no longer takes.
func (s *session) drop(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == token {
		s.current = ""
	}
}

// renew makes the token live longer. It fails where that brings little: the
// token nears the end that its role allows, and a login must follow.
func (s *session) renew(ctx context.Context) error {
	secret, err := s.client.do(ctx, http.MethodPost, "auth/token/renew-self", s.current, map[string]any{})
	if err != nil {
		return err
	}
	if secret.Auth == nil {
		return errors.New("vault's answer to the renewal holds no token")
	}
	granted := time.Duration(secret.Auth.LeaseDuration) * time.Second
	if granted < s.lease/2 {
		return errors.New("the token nears its end")
	}
	s.keep(secret.Auth, s.lease)
	return nil
}

// login gets a new token. The files are read each time: service account tokens
// and secret ids are rotated.
func (s *session) login(ctx context.Context) error {
	body := map[string]any{}
	switch s.auth.Method {
	case "kubernetes":
		jwt, err := readSmall(s.auth.TokenFile, "the file of the service account's token")
		if err != nil {
			return err
		}
		body["role"], body["jwt"] = s.auth.Role, jwt
	case "approle":
		roleID, err := readSmall(s.auth.RoleIDFile, "the file of the role id")
		if err != nil {
			return err
		}
		secretID, err := readSmall(s.auth.SecretIDFile, "the file of the secret id")
		if err != nil {
			return err
		}
		body["role_id"], body["secret_id"] = roleID, secretID
	}
	secret, err := s.client.do(ctx, http.MethodPost, "auth/"+s.auth.Mount+"/login", "", body)
	if err != nil {
		if e, ok := errors.AsType[*statusError](err); ok && (e.status == http.StatusBadRequest || e.status == http.StatusForbidden) {
			return fmt.Errorf("vault refuses the login by %s at auth/%s (status %d); check the role, the mount and the files of the login", s.auth.Method, s.auth.Mount, e.status)
		}
		return fmt.Errorf("logging in to vault by %s: %w", s.auth.Method, err)
	}
	if secret.Auth == nil || secret.Auth.ClientToken == "" {
		return fmt.Errorf("vault's answer to the login by %s holds no token", s.auth.Method)
	}
	s.keep(secret.Auth, time.Duration(secret.Auth.LeaseDuration)*time.Second)
	return nil
}

func (s *session) keep(auth *api.SecretAuth, lease time.Duration) {
	now := time.Now()
	granted := time.Duration(auth.LeaseDuration) * time.Second
	s.current, s.renewable, s.lease = auth.ClientToken, auth.Renewable, lease
	s.renewAt, s.expires = now.Add(granted*2/3), now.Add(granted)
}

// readSmall reads a file that holds one short text.
func readSmall(path, what string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	value := strings.TrimSpace(string(text))
	if value == "" || len(value) > 64<<10 || strings.ContainsAny(value, "\r\n\x00") {
		return "", fmt.Errorf("%s, %s, must hold one text on one line", what, path)
	}
	return value, nil
}
