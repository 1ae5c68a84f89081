package command

import (
	"bytes"
	"os"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func testCommand() *cobra.Command {
	in := new(input)
	as := ""
	cmd := &cobra.Command{
		Use:   "test [--recipe FILE] [<name>|<file>|<folder>] [--keys <folder> --ref <reference>] [--as request|response|notification] [<message>...]",
		Short: "Runs messages of recipes, and then attacks them",
		Long: `Opens each message, which must verify. Then it tampers with every part that the
recipe says is signed, drops, moves and spoils the signature, and adds twins and
duplicates: nothing of that may pass. What passes because nobody signs it is shown as
such. It prints a table, and how many messages and attacks there were; the exit status
is 1 if something passes that must not, or a message does not verify.

Without messages it runs those of the recipe's folder, with the test keys that stand
there: of a recipe that ships, they are in this program. Without a name it runs those
of every recipe that ships, with a line for each. A folder of your own has
recipe.caddyfile, messages/NAME.http, beside it NAME.json with kind, ref, at and
options, and keys/<ref>/; a file is a recipe beside such folders.

A message is a file as curl -i shows it, or a body alone with --as. A request is
opened as the provider would, with the provider's keys: the public key of the
merchant in verify.pem.`,
		RunE: func(cmd *cobra.Command, args []string) error { return in.test(cmd, as, args) },
	}
	in.schemeFlags(cmd)
	in.keyFlags(cmd)
	cmd.Flags().StringVar(&as, "as", "", "what a message is that does not show it: request, response or notification")
	return cmd
}

// errAttack makes the exit status 1; the table shows why.
var errAttack = i18n.Errorf("something passed that must not, or a message does not verify")

func (in *input) test(cmd *cobra.Command, as string, args []string) error {
	if len(args) > 0 && in.scheme == "" {
		_, err := os.Stat(args[0])
		switch {
		case err != nil || in.recipes == "" && protocol.Exists(args[0]):
			in.scheme, args = args[0], args[1:]
		case in.recipes == "":
			in.recipes, args = args[0], args[1:]
			if len(args) > 0 && in.keys == "" {
				in.scheme, args = args[0], args[1:]
			}
		}
	}
	if len(args) == 0 {
		return in.testFolders(cmd, as)
	}
	return in.testFiles(cmd, as, args)
}

// testFiles runs the messages of files.
func (in *input) testFiles(cmd *cobra.Command, as string, files []string) error {
	in.recipes = recipeIn(in.recipes)
	r, err := in.recipe()
	if err != nil {
		return err
	}
	if _, known := r.Own[r.Scheme]; !known && !protocol.Exists(r.Scheme) {
		return unknownRecipe(r.Scheme, r.Own)
	}
	s, err := r.Configure()
	if err != nil {
		return err
	}
	program, ok := s.(*recipe.Program)
	if !ok {
		return i18n.Errorf("%s is written in Go; recipe test attacks recipes", r.Scheme)
	}
	t := &tester{program: program, at: in.at()}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return i18n.Errorf("reading the message: %w", err)
		}
		kind, err := kindOf(as, text)
		if err != nil {
			return i18n.Errorf("%s: %w", file, err)
		}
		m, err := readMessage(s, kind, text)
		if err != nil {
			return i18n.Errorf("%s: %w", file, err)
		}
		set, err := in.keySet(cmd.Context(), m)
		if err != nil {
			return err
		}
		t.run(file, m, set)
	}
	return t.end(cmd.OutOrStdout())
}

// kindOf returns what a message is: one with a status line is an answer, one with a
// request line a notification.
func kindOf(as string, text []byte) (message.Kind, error) {
	if as != "" {
		return diagnosis.Kind(as)
	}
	switch _, whole, _ := diagnosis.Split(message.Answer, text); {
	case whole && bytes.HasPrefix(text, []byte("HTTP/")):
		return message.Answer, nil
	case whole:
		return message.Notification, nil
	}
	return "", i18n.Errorf("the file is a body alone; say what it is with --as response or --as notification")
}

// readMessage reads a message as it stood on the wire. A request may be encrypted as
// a whole, and has no members then.
func readMessage(s scheme.Scheme, kind message.Kind, text []byte) (*message.Message, error) {
	if kind != message.Request {
		return diagnosis.Read(s, kind, text)
	}
	m, _, err := diagnosis.Split(kind, text)
	if d := s.Describe().Request; err == nil && d != nil {
		_ = d.Format.Read(m) // for a member in the key reference
	}
	return m, err
}
