package vaulttest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// Kubernetes is the part of an API server that Vault's login method needs: it
// issues service-account tokens and reviews them. The rest of the login is
// Vault's own; integration/kubernetes tests it with a real API server.
type Kubernetes struct {
	server *httptest.Server
	key    *rsa.PrivateKey

	mu      sync.Mutex
	valid   map[string]review // by token
	reviews int
}

// review is what the API server knows about a token that it issued.
type review struct {
	username  string
	uid       string
	audiences []string
	expires   time.Time
}

// EnableKubernetes enables the login method at its default mount (kubernetes), with a
// stand-in for the API server that ends with Close.
func (s *Server) EnableKubernetes() (*Kubernetes, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the key for service-account tokens: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encoding the key for service-account tokens: %w", err)
	}
	k := &Kubernetes{key: key, valid: map[string]review{}}
	k.server = httptest.NewServer(http.HandlerFunc(k.serve))
	if err := s.enableAuth("kubernetes"); err != nil {
		k.Close()
		return nil, err
	}
	_, err = s.client.Logical().Write("auth/kubernetes/config", map[string]any{
		"kubernetes_host":      k.server.URL,
		"pem_keys":             string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"token_reviewer_jwt":   reviewerToken,
		"disable_local_ca_jwt": true,
	})
	if err != nil {
		k.Close()
		return nil, fmt.Errorf("configuring the login method kubernetes: %w", err)
	}
	return k, nil
}

// reviewerToken is what Vault shows when it asks for a review.
const reviewerToken = "vaulttest-reviewer"

// Close ends the stand-in: from then on no login succeeds.
func (k *Kubernetes) Close() { k.server.Close() }

// Reviews returns how many tokens Vault has had reviewed.
func (k *Kubernetes) Reviews() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reviews
}

// BindRole lets one service account log in to a role, with tokens for the
// audience "vault".
func (s *Server) BindRole(name, namespace, account string, o Tokens) error {
	role := o.role()
	role["bound_service_account_names"] = account
	role["bound_service_account_namespaces"] = namespace
	role["audience"] = "vault"
	return s.writeRole("kubernetes", name, role)
}

// Token issues a service-account token for the audience "vault" that is good
// for the given time.
func (k *Kubernetes) Token(namespace, account string, lifetime time.Duration) (string, error) {
	now := time.Now()
	known := review{
		username:  "system:serviceaccount:" + namespace + ":" + account,
		uid:       "uid-of-" + account,
		audiences: []string{"vault"},
		expires:   now.Add(lifetime),
	}
	token, err := k.sign(map[string]any{
		"iss": "https://kubernetes.default.svc.cluster.local",
		"sub": known.username,
		"aud": known.audiences,
		"iat": now.Unix(),
		"nbf": now.Unix(),
		"exp": known.expires.Unix(),
		"jti": rand.Text(), // two tokens of one second differ
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"serviceaccount": map[string]any{"name": account, "uid": known.uid},
		},
	})
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.valid[token] = known
	return token, nil
}

// WriteToken issues a token as Token does and replaces the file at path with
// it in one step, as the kubelet does.
func (k *Kubernetes) WriteToken(path, namespace, account string, lifetime time.Duration) error {
	token, err := k.Token(namespace, account, lifetime)
	if err != nil {
		return err
	}
	return replaceFile(path, token)
}

// RevokeTokens makes all the tokens issued so far invalid, as deleting the
// pod does.
func (k *Kubernetes) RevokeTokens() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.valid)
}

// sign makes a JSON Web Token of the claims (RFC 7515, RS256).
func (k *Kubernetes) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding a service-account token: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing a service-account token: %w", err)
	}
	return signed + "." + encode(signature), nil
}

// serve answers TokenReview requests (authentication.k8s.io/v1).
func (k *Kubernetes) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
		http.NotFound(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+reviewerToken {
		http.Error(w, "the reviewer is not authorised", http.StatusUnauthorized)
		return
	}
	var asked struct {
		Spec struct {
			Token     string   `json:"token"`
			Audiences []string `json:"audiences"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}

	k.mu.Lock()
	k.reviews++
	known, ok := k.valid[asked.Spec.Token]
	k.mu.Unlock()

	status := map[string]any{"authenticated": false}
	if ok && time.Now().Before(known.expires) {
		status = map[string]any{
			"authenticated": true,
			"user":          map[string]any{"username": known.username, "uid": known.uid},
			"audiences": slices.DeleteFunc(slices.Clone(asked.Spec.Audiences), func(audience string) bool {
				return !slices.Contains(known.audiences, audience)
			}),
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{ // Vault sees what is missing
		"kind":       "TokenReview",
		"apiVersion": "authentication.k8s.io/v1",
		"status":     status,
	})
}
