package keyscmd

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource/file"
)

func newCommand() *cobra.Command {
	var to place
	var bits int
	var sm2, csr bool
	cmd := &cobra.Command{
		Use:   "new [--bits 2048 | --sm2] --dir DIR --ref REF [--csr]",
		Short: "Makes a key pair; prints the public key for the provider's console",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sm2 && cmd.Flags().Changed("bits") {
				return i18n.Errorf("give --bits or --sm2, not both")
			}
			key, err := generate(bits, sm2)
			if err != nil {
				return i18n.Errorf("making a key: %w", err)
			}
			private, err := keys.MarshalPrivateKey(key)
			if err != nil {
				return err
			}
			public, err := keys.MarshalPublicKey(key.Public())
			if err != nil {
				return err
			}
			var request []byte
			if csr {
				if request, err = certificateRequest(key, to.reference); err != nil {
					return i18n.Errorf("making the certificate request: %w", err)
				}
			}
			path, err := to.write(keys.Sign, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), false)
			if err != nil {
				return err
			}
			cmd.SetOut(cmd.OutOrStdout())
			cmd.Println(base64.StdEncoding.EncodeToString(public))
			cmd.Print(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
			if csr {
				cmd.Print(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})))
			}
			cmd.PrintErr(i18n.Sprintf("fingerprint %s\nthe private key is in %s: it never leaves this machine\n", keys.Fingerprint(key.Public()), path))
			return nil
		},
	}
	to.flags(cmd)
	cmd.Flags().IntVar(&bits, "bits", 2048, "size of the RSA key in bits")
	cmd.Flags().BoolVar(&sm2, "sm2", false, "an SM2 key")
	cmd.Flags().BoolVar(&csr, "csr", false, "print a certificate request as well")
	return cmd
}

func generate(bits int, sm2 bool) (crypto.Signer, error) {
	switch {
	case sm2:
		return gm.GenerateKey()
	case bits < 2048 || bits > 8192:
		return nil, i18n.Errorf("--bits %d: give 2048 to 8192", bits)
	default:
		return rsa.GenerateKey(rand.Reader, bits)
	}
}

func certificateRequest(key crypto.Signer, name string) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	if keys.KindOf(key.Public()) == keys.KindSM2 {
		return gm.NewCertificateRequest(template, key)
	}
	return x509.CreateCertificateRequest(rand.Reader, template, key)
}

func showCommand() *cobra.Command {
	var from place
	cmd := &cobra.Command{
		Use:   "show --dir DIR --ref REF",
		Short: "Shows roles, kinds, sizes, serials and fingerprints of a key set",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := from.folder(); err != nil {
				return err
			}
			source := &file.Source{Dir: from.dir}
			set, err := source.Load(cmd.Context(), from.reference, nil)
			if err != nil {
				return err
			}
			cmd.SetOut(cmd.OutOrStdout())
			for _, role := range set.Roles() {
				describe(cmd, set, role)
			}
			for _, err := range set.Broken {
				cmd.PrintErrln(i18n.Sprintf("warning: %s", err.Error()))
			}
			for _, warning := range set.Warnings {
				cmd.PrintErrln(i18n.Sprintf("warning: %s", warning))
			}
			return nil
		},
	}
	from.flags(cmd)
	return cmd
}
