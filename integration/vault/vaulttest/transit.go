package vaulttest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/vault/api"
)

// EnableTransit mounts a Transit engine.
func (s *Server) EnableTransit(mount string) error {
	return s.mount(mount, &api.MountInput{Type: "transit"})
}

// CreateKey has Vault make a Transit key, "rsa-2048" for instance.
func (s *Server) CreateKey(mount, name, kind string) error {
	path := mount + "/keys/" + name
	if _, err := s.client.Logical().Write(path, map[string]any{"type": kind}); err != nil {
		return fmt.Errorf("creating the key %s: %w", path, err)
	}
	return nil
}

// RotateKey has Vault make a new version of a Transit key. The new one signs;
// older ones still verify and decrypt.
func (s *Server) RotateKey(mount, name string) error {
	path := mount + "/keys/" + name + "/rotate"
	if _, err := s.client.Logical().Write(path, nil); err != nil {
		return fmt.Errorf("rotating the key at %s: %w", path, err)
	}
	return nil
}

// PublicKeys returns the public keys of a Transit key by version.
func (s *Server) PublicKeys(mount, name string) (map[int]*rsa.PublicKey, error) {
	secret, err := s.client.Logical().Read(mount + "/keys/" + name)
	if err != nil {
		return nil, fmt.Errorf("reading the key %s/keys/%s: %w", mount, name, err)
	}
	if secret == nil {
		return nil, fmt.Errorf("reading the key %s/keys/%s: there is none", mount, name)
	}
	versions, _ := secret.Data["keys"].(map[string]any)
	keys := make(map[int]*rsa.PublicKey, len(versions))
	for number, entry := range versions {
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("reading the key %s/keys/%s: version %q: %w", mount, name, number, err)
		}
		fields, _ := entry.(map[string]any)
		text, _ := fields["public_key"].(string)
		if keys[version], err = parsePublicKey(text); err != nil {
			return nil, fmt.Errorf("reading the key %s/keys/%s: version %d: %w", mount, name, version, err)
		}
	}
	return keys, nil
}

func parsePublicKey(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("not an RSA key but %T", parsed)
	}
	return key, nil
}

// ImportKeys puts RSA-2048 keys of the caller's into Transit as the versions
// 1, 2 and so on of one key, and replaces what was there by that name.
//
// It restores a backup that Vault never made. Transit's import would need AES
// key wrap with padding, which the standard library does not have.
func (s *Server) ImportKeys(mount, name string, keys ...*rsa.PrivateKey) error {
	backup, err := encodeBackup(name, keys)
	if err != nil {
		return fmt.Errorf("encoding the keys for %s/%s: %w", mount, name, err)
	}
	path := mount + "/restore/" + name
	if _, err := s.client.Logical().Write(path, map[string]any{"backup": backup, "force": true}); err != nil {
		return fmt.Errorf("importing the keys to %s: %w", path, err)
	}
	return nil
}

// backupKey is one version of a key in a Transit backup; Vault's sdk names
// the fields (helper/keysutil, KeyEntry).
type backupKey struct {
	HMACKey   []byte          `json:"hmac_key"`
	Time      time.Time       `json:"time"`
	Created   int64           `json:"creation_time"`
	RSA       *rsa.PrivateKey `json:"rsa_key,omitempty"`
	RSAPublic *rsa.PublicKey  `json:"rsa_public_key,omitempty"`
}

// transitRSA2048 is how Vault numbers the type (keysutil.KeyType_RSA2048).
const transitRSA2048 = 3

func encodeBackup(name string, keys []*rsa.PrivateKey) (string, error) {
	now := time.Now()
	current := make(map[string]backupKey, len(keys))
	archived := make([]backupKey, 1, len(keys)+1) // version 0 is empty
	for i, key := range keys {
		if key.N.BitLen() != 2048 {
			return "", fmt.Errorf("version %d has %d bits: only RSA-2048 is supported", i+1, key.N.BitLen())
		}
		version := backupKey{
			HMACKey:   make([]byte, 32),
			Time:      now,
			Created:   now.Unix(),
			RSA:       key,
			RSAPublic: &key.PublicKey,
		}
		if _, err := rand.Read(version.HMACKey); err != nil {
			return "", err
		}
		current[strconv.Itoa(i+1)] = version
		archived = append(archived, version)
	}
	backup, err := json.Marshal(map[string]any{
		"policy": map[string]any{
			"name":                   name,
			"type":                   transitRSA2048,
			"keys":                   current,
			"min_decryption_version": 1,
			"latest_version":         len(keys),
			"archive_version":        len(keys),
			"backup_info":            map[string]any{"time": now, "version": 1},
		},
		"archived_keys": map[string]any{"keys": archived},
	})
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(backup), nil
}
