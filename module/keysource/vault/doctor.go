package vault

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
)

// The names of the checks.
const (
	checkAddress = "vault address"
	checkLogin   = "vault login"
	checkPolicy  = "vault policy"
	checkFiles   = "file permissions"
)

// Diagnose checks the connection to Vault, the login and its files, and the
// capabilities of the policy for each reference.
func (s *Source) Diagnose(ctx context.Context, references []string) []keysource.Finding {
	found := append(s.diagnoseAddress(), s.diagnoseFiles()...)
	self, err := s.client.read(ctx, pathSelf)
	if err != nil {
		return append(found, keysource.Finding{Check: checkLogin, Subject: s.Address, Status: keysource.Failure,
			Reason: err.Error(), Advice: i18n.Sprintf("correct the option auth or what it needs in Vault")})
	}
	found = append(found, s.diagnoseToken(self))
	for _, reference := range references {
		found = append(found, s.diagnosePolicy(ctx, reference)...)
	}
	return found
}

func (s *Source) diagnoseAddress() []keysource.Finding {
	if s.plaintext() {
		return []keysource.Finding{{Check: checkAddress, Subject: s.Address, Status: keysource.Warning,
			Reason: i18n.Sprintf("keys and tokens travel in plaintext"), Advice: i18n.Sprintf("give Vault a certificate, and https:// here")}}
	}
	return nil
}

// diagnoseFiles checks who can read the files of the login. The token of a service
// account has the mode that the kubelet gives it.
func (s *Source) diagnoseFiles() []keysource.Finding {
	var found []keysource.Finding
	files := []string{s.Auth.SecretIDFile}
	if s.Auth.Method == methodTokenFile {
		files = []string{s.Auth.TokenFile}
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || keysource.Permissions(info)&0o077 == 0 {
			continue // the login reports that it is missing
		}
		found = append(found, keysource.Finding{Check: checkFiles, Subject: file, Status: keysource.Warning,
			Reason: i18n.Sprintf("mode %04o: others than the owner can log in with it", info.Mode().Perm()), Advice: i18n.Sprintf("chmod go= %s", file)})
	}
	return found
}

func (s *Source) diagnoseToken(self *api.Secret) keysource.Finding {
	f := keysource.Finding{Check: checkLogin, Subject: s.Address, Status: keysource.OK}
	policies := texts(self.Data["policies"])
	f.Reason = i18n.Sprintf("vault takes the login by %s; policies: %s", s.Auth.Method, strings.Join(policies, ", "))
	if slices.Contains(policies, "root") {
		f.Status, f.Advice = keysource.Warning, i18n.Sprintf("log in with a policy that grants only what is needed; the README has one")
	}
	return f
}

// diagnosePolicy checks the capabilities that a reference needs.
func (s *Source) diagnosePolicy(ctx context.Context, reference string) []keysource.Finding {
	metadata := need{s.path("metadata", reference), "read"}
	needs := []need{{s.path("data", reference), "read"}}
	fields, _, err := s.fields(ctx, reference, 0)
	if err == nil {
		needs = append(needs, transitNeeds(fields)...)
	}
	lacking, err := s.client.lacking(ctx, append(needs, metadata))
	if err != nil {
		return []keysource.Finding{{Check: checkPolicy, Subject: reference, Status: keysource.Warning,
			Reason: i18n.Sprintf("vault does not tell what the token may: %s", err.Error()), Advice: i18n.Sprintf("give the token the policy default")}}
	}
	var found []keysource.Finding
	for _, n := range lacking {
		f := keysource.Finding{Check: checkPolicy, Subject: n.path, Status: keysource.Failure,
			Reason: i18n.Sprintf("the token may not %s it, which %s needs", n.capability, reference), Advice: i18n.Sprintf("add to the policy: %s", n.rule())}
		if n == metadata {
			f.Status, f.Reason = keysource.Warning, i18n.Sprintf("the token may not read it, so that the secret itself is read at each refresh")
		}
		found = append(found, f)
	}
	if len(found) == 0 {
		found = append(found, keysource.Finding{Check: checkPolicy, Subject: reference, Status: keysource.OK, Reason: i18n.Sprintf("it grants all that is needed")})
	}
	return found
}

// transitNeeds returns what the Transit keys in the fields of a secret need.
func transitNeeds(fields map[string]any) []need {
	var needs []need
	for _, role := range []keys.Role{keys.Sign, keys.Decrypt} {
		text, _ := fields[string(role)].(string)
		where, ok := strings.CutPrefix(strings.TrimSpace(text), transitPrefix)
		if !ok {
			continue
		}
		key, err := parseTransit(where)
		if err != nil {
			continue // that shows when it is loaded
		}
		use := need{key.signPath(), "update"}
		if role == keys.Decrypt {
			use.path = key.decryptPath()
		}
		needs = append(needs, need{key.path(), "read"}, use)
	}
	return needs
}

// texts returns the texts in a list of Vault's JSON.
func texts(value any) []string {
	var out []string
	list, _ := value.([]any)
	for _, item := range list {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

var _ keysource.Doctor = (*Source)(nil)
