package command

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// recipeIn returns the recipe's file where a folder is given.
func recipeIn(file string) string {
	if info, err := os.Stat(file); file != "" && err == nil && info.IsDir() {
		return filepath.Join(file, recipeFile)
	}
	return file
}

func unknownRecipe(name string, own protocol.Recipes) error {
	return i18n.Errorf("unknown recipe %q; known are %s", name, strings.Join(protocol.Names(own), ", "))
}

// testFolders runs the messages of the folders that the flags name: of a recipe's, or
// of all that ship.
func (in *input) testFolders(cmd *cobra.Command, as string) error {
	if err := in.readTime(); err != nil {
		return err
	}
	flags, err := in.flagsNote(as)
	if err != nil {
		return err
	}
	folders, err := in.folders()
	if err != nil {
		return err
	}
	t := &tester{brief: len(folders) > 1}
	for _, f := range folders {
		files, err := f.messages()
		if err != nil {
			return err
		}
		if len(files) == 0 {
			t.none = append(t.none, f.names()...)
		}
		for _, file := range files {
			if err := t.message(f, file, flags); err != nil {
				return err
			}
		}
	}
	return t.end(cmd.OutOrStdout())
}

// folders returns the folders that the flags name. Their recipes compile.
func (in *input) folders() ([]folder, error) {
	var all []folder
	switch {
	case in.recipes != "":
		f, err := ownFolder(recipeIn(in.recipes), in.scheme)
		if err != nil {
			return nil, err
		}
		all = []folder{f}
	case in.scheme != "":
		f, err := shippedFolder(in.scheme)
		if err != nil {
			return nil, err
		}
		all = []folder{f}
	default:
		for _, name := range providers.Names() {
			f, err := shippedFolder(name)
			if err != nil {
				return nil, err
			}
			all = append(all, f)
		}
	}
	for _, f := range all {
		for name, r := range f.recipes {
			if err := recipe.Check(name, r); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// shippedFolder returns the folder of a recipe that ships.
func shippedFolder(name string) (folder, error) {
	r, ok := providers.Find(name)
	if !ok {
		return folder{}, unknownRecipe(name, nil)
	}
	files, _ := providers.Folder(name)
	return folder{fs: files, name: name, recipes: map[string]recipe.Recipe{name: r}}, nil
}

// ownFolder returns the folder in which a file with recipes stands. A recipe in it may have
// the name of one that ships: nothing but this test sees it.
func ownFolder(file, name string) (folder, error) {
	recipes, err := parseRecipes(file)
	if err != nil {
		return folder{}, err
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return folder{}, err
	}
	f := folder{fs: os.DirFS(dir), name: filepath.Base(dir), recipes: recipes}
	if name == "" {
		return f, nil
	}
	r, ok := recipes[name]
	if !ok {
		return f, i18n.Errorf("%s has no recipe %q", file, name)
	}
	f.name, f.recipes = name, map[string]recipe.Recipe{name: r}
	return f, nil
}

// folder runs a message of a folder, and attacks it.
func (t *tester) message(f folder, file string, flags note) error {
	n, err := f.note(file, flags)
	if err != nil {
		return err
	}
	name, r, err := f.recipe(n)
	if err != nil {
		return i18n.Errorf("%s: %w", file, err)
	}
	if n.Unread != "" {
		t.left++
		t.row(i18n.T("ok"), path.Join(name, file), i18n.T("left out"), i18n.T("not run"), n.Unread)
		return nil
	}
	if t.program, err = recipe.Compile(name, r, recipe.Settings(n.Options)); err != nil {
		return i18n.Errorf("%s: %w", file, err)
	}
	if t.at = n.At; t.at.IsZero() {
		t.at = time.Now()
	}
	set, err := f.keySet(n.Ref)
	if err != nil {
		return i18n.Errorf("%s: %w", file, err)
	}
	text, err := fs.ReadFile(f.fs, file)
	if err != nil {
		return i18n.Errorf("reading the message: %w", err)
	}
	kind := n.Kind
	if kind == "" {
		if kind, err = kindOf("", text); err != nil {
			return i18n.Errorf("%s: %w", file, err)
		}
	}
	m, err := readMessage(t.program, kind, text)
	if err != nil {
		return i18n.Errorf("%s: %w", file, err)
	}
	file = path.Join(name, file)
	t.run(file, m, set)
	if n.Seal != nil {
		t.genuine(file, i18n.T("sealed again"), t.seal(n, m, set))
	}
	return nil
}

var errOther = i18n.Errorf("what the application has is sealed to another message")

// seal seals what the application has, and compares it with the message. An SM2
// signature is another one each time, so that where there is one the text decides.
func (t *tester) seal(n note, want *message.Message, set *keys.Set) error {
	m := message.New(message.Request)
	m.Method = n.Seal.Method
	m.Path, m.Query, _ = strings.Cut(n.Seal.URI, "?")
	for name, value := range n.Seal.Headers {
		m.Header.Set(name, value)
	}
	if n.Seal.Body != "" {
		o, err := body.Parse([]byte(n.Seal.Body))
		if err != nil {
			return err
		}
		m.SetPayload(o)
	}
	made, err := scheme.Seal(t.program, scheme.Request{Message: m, Keys: set, Now: t.at})
	switch {
	case err != nil:
		return err
	case n.Canonical != "" && n.Canonical != string(made.Canonical()):
		return i18n.Errorf("what is signed is another text than the one that stands beside the message")
	case made.Message.Method != want.Method || made.Message.URI() != want.URI() || !bytes.Equal(made.Message.Wire, want.Wire):
		return errOther
	}
	fresh := slices.ContainsFunc(set.Info(keys.Sign), func(k keys.Info) bool { return k.Kind == keys.KindSM2 })
	for name := range want.Header {
		if name != "Content-Type" && (name != "Authorization" || !fresh) && want.Header.Get(name) != made.Message.Header.Get(name) {
			return errOther
		}
	}
	return nil
}

// flagsNote returns what the flags say about messages that say nothing themselves.
func (in *input) flagsNote(as string) (note, error) {
	n := note{Ref: in.reference, At: in.now}
	if as != "" {
		kind, err := diagnosis.Kind(as)
		if err != nil {
			return n, err
		}
		n.Kind = kind
	}
	for _, text := range in.settings {
		set, err := diagnosis.ParseSetting(text)
		if err != nil {
			return n, err
		}
		if n.Options == nil {
			n.Options = make(map[string][]string)
		}
		n.Options[set.Option] = append(n.Options[set.Option], strings.Split(set.Value, ",")...)
	}
	return n, nil
}
