package keyscmd

import (
	"bytes"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

func importCommand() *cobra.Command {
	var to place
	var role, passwordFile string
	var force bool
	cmd := &cobra.Command{
		Use:   "import --role R --dir DIR --ref REF [--password-file F] [--force] [FILE]",
		Short: "Brings a key as people get it into a key set",
		Long: `Reads .pfx, .p12, .jks, CFCA's .sm2, DER, .cer, PEM or bare Base64, writes it as
the role of the key set, and says what it is. "-" or no FILE is standard input.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			into, ok := keys.ParseRole(role)
			if !ok {
				return i18n.Errorf("--role %s: there is no such role; there are sign, verify, encrypt, decrypt, secret and verify_secret, each also as <role>@<id>", role)
			}
			name, data, err := readInput(cmd, args)
			if err != nil {
				return err
			}
			secret := func() ([]byte, error) { return password(cmd, passwordFile) }
			if passwordFile != "" { // read also where no password is needed, and once: it may be a pipe
				given, err := secret()
				if err != nil {
					return err
				}
				secret = func() ([]byte, error) { return given, nil }
			}
			text, err := read(into, data, secret)
			if err != nil {
				return i18n.Errorf("reading %s as %s: %w", name, into, err)
			}
			set, err := keys.Parse(to.reference, "", keys.Material{into: {Text: text, Origin: name}})
			if err != nil {
				return err
			}
			path, err := to.write(into, text, force)
			if err != nil {
				return err
			}
			cmd.SetOut(cmd.OutOrStdout())
			describe(cmd, set, into)
			for _, warning := range set.Warnings {
				cmd.PrintErrln(i18n.Sprintf("warning: %s", warning))
			}
			cmd.Println(i18n.Sprintf("written to %s", path))
			return nil
		},
	}
	to.flags(cmd)
	cmd.Flags().StringVar(&role, "role", "", "role of the key: sign, verify, encrypt, decrypt, secret, verify_secret, or <role>@<id>")
	_ = cmd.MarkFlagRequired("role") // it is there
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file that holds the password of the key store (default: asked for)")
	cmd.Flags().BoolVar(&force, "force", false, "replace a key that is there")
	return cmd
}

// readInput reads the file that the arguments name, or standard input.
func readInput(cmd *cobra.Command, args []string) (name string, data []byte, err error) {
	if len(args) == 0 || args[0] == "-" {
		data, err = io.ReadAll(cmd.InOrStdin())
		return i18n.Sprintf("standard input"), data, err
	}
	if data, err = os.ReadFile(args[0]); err != nil {
		return "", nil, i18n.Errorf("reading the key: %w", err)
	}
	return args[0], data, nil
}

// read returns the text that a role of a key set holds.
func read(role keys.Role, data []byte, password func() ([]byte, error)) ([]byte, error) {
	if plain, _ := role.Split(); plain == keys.SharedSecret || plain == keys.VerifySecret {
		return bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff"))), nil
	}
	if strings.HasSuffix(string(role), ".serial") {
		return bytes.TrimSpace(data), nil
	}
	found, isStore, err := openStore(data, password)
	if err != nil {
		return nil, err
	}
	if !isStore {
		return keys.Normalize(data)
	}
	if role.IsPrivate() {
		if found.key == nil {
			return nil, i18n.Errorf("it holds no private key; certificates go to verify or encrypt")
		}
		return found.private()
	}
	if len(found.certificates) == 0 {
		return nil, i18n.Errorf("it holds no certificate; a private key goes to sign or decrypt")
	}
	return found.public(), nil
}

// password reads the password of a key store from a file or a prompt.
func password(cmd *cobra.Command, file string) ([]byte, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, i18n.Errorf("reading the password: %w", err)
		}
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
		return bytes.TrimRight(text, "\r\n"), nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) { //nolint:gosec // a file descriptor is small
		return nil, i18n.Errorf("the key store needs its password; give --password-file")
	}
	cmd.PrintErr(i18n.Sprintf("Password of the key store: "))
	defer cmd.PrintErrln()
	return term.ReadPassword(int(os.Stdin.Fd())) //nolint:gosec // a file descriptor is small
}
