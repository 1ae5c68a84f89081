// Package keyscmd is `caddy countersign keys`: it brings keys as providers hand
// them out into the form of a key set, makes new ones, and shows what to compare
// with a provider's console. It prints no private key and no secret.
package keyscmd

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// Command makes the command `keys` with its subcommands.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys <command>",
		Short: "Imports, makes and shows the keys of a key set",
	}
	cmd.AddCommand(importCommand(), newCommand(), showCommand())
	return cmd
}

// place is a key set in a folder.
type place struct{ dir, reference string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.dir, "dir", "", "folder of the key sets")
	cmd.Flags().StringVar(&p.reference, "ref", "", "reference of the key set, such as easypay/ORG1")
	for _, name := range []string{"dir", "ref"} {
		_ = cmd.MarkFlagRequired(name) // it is there
	}
}

func (p *place) folder() (string, error) {
	if err := keys.CheckReference(p.reference); err != nil {
		return "", i18n.Errorf("--ref: %w", err)
	}
	return filepath.Join(p.dir, filepath.FromSlash(p.reference)), nil
}

// write writes the text of a role into the key set, completely or not at all, readable
// by its owner alone.
func (p *place) write(role keys.Role, text []byte, force bool) (path string, err error) {
	defer func() {
		if errors.Is(err, os.ErrPermission) {
			err = i18n.Errorf("this user may not write %s; run it as the folder's owner (with sudo if that is root), or name a folder of yours with --dir", path)
		}
	}()
	folder, err := p.folder()
	if err != nil {
		return "", err
	}
	path = filepath.Join(folder, role.FileName())
	if _, err := os.Lstat(path); err == nil && !force {
		return "", i18n.Errorf("%s is there already and is not replaced; move it away, or import with --force", path)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return path, i18n.Errorf("writing %s: %w", path, err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return path, i18n.Errorf("writing %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(folder, ".new-*") // of mode 0600
	if err != nil {
		return path, i18n.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // it is there only after a failure
	_, err = temporary.Write(text)
	if err == nil {
		err = temporary.Sync()
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return path, i18n.Errorf("writing %s: %w", path, err)
	}
	return path, nil
}

// describe prints kind, size, serial and fingerprint of the keys of a role.
func describe(cmd *cobra.Command, set *keys.Set, role keys.Role) {
	for _, key := range set.Info(role) {
		line := string(role)
		if key.Kind == "" {
			line += " " + i18n.Sprintf("secret")
		} else {
			line += " " + i18n.Sprintf("%s %d bits", key.Kind, key.Bits)
		}
		if key.Serial != "" {
			line += " " + i18n.Sprintf("serial %s", key.Serial)
		}
		if !key.Expires.IsZero() {
			line += " " + i18n.Sprintf("expires %s", key.Expires.UTC().Format("2006-01-02"))
		}
		cmd.Println(i18n.Sprintf("%s fingerprint %s", line, key.Fingerprint))
	}
}
