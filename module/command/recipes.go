package command

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// ReadRecipes reads the recipes of a file: recipe blocks alone, or those in the
// global block of a whole Caddyfile.
func ReadRecipes(file string) (protocol.Recipes, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, i18n.Errorf("reading the recipes: %w", err)
	}
	blocks, err := caddyfile.Parse(file, text)
	if err == nil && len(blocks) > 0 && len(blocks[0].Keys) == 0 {
		return recipesOf(file, blocks[0])
	}
	found, err := providers.Parse(file, text)
	if err != nil {
		return nil, err
	}
	return check(found)
}

// recipesOf are the recipes in the global block of a Caddyfile.
func recipesOf(file string, global caddyfile.ServerBlock) (protocol.Recipes, error) {
	found := make(map[string]recipe.Recipe)
	for _, segment := range global.Segments {
		if segment.Directive() != "countersign" {
			continue
		}
		d := caddyfile.NewDispenser(segment)
		d.Next()
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			if d.Val() != "recipe" {
				d.RemainingArgs()
				for inner := d.Nesting(); d.NextBlock(inner); {
					continue
				}
				continue
			}
			var r recipe.Recipe
			name, err := r.UnmarshalCaddyfile(d)
			if err != nil {
				return nil, err
			}
			if _, twice := found[name]; twice {
				return nil, i18n.Errorf("the recipe %s stands twice in %s", name, file)
			}
			found[name] = r
		}
	}
	if len(found) == 0 {
		return nil, i18n.Errorf("%s has no recipe in its global block countersign { … }", file)
	}
	return check(found)
}

// check compiles recipes, so that their mistakes are known with their lines.
func check(found map[string]recipe.Recipe) (protocol.Recipes, error) {
	for name, r := range found {
		if protocol.Exists(name) {
			return nil, i18n.Errorf("a recipe of the name %s ships; call yours another name, at %s", name, r.At)
		}
		if _, err := recipe.Compile(name, r, nil); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func recipeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recipe <command>",
		Short: "Shows the recipes that ship, attacks recipes, and finds them",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "Lists the recipes that ship", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return listRecipes(cmd) },
		},
		&cobra.Command{
			Use: "show <name>", Short: "Prints the text of a recipe that ships, to copy and change", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				text, ok := providers.Text(args[0])
				if !ok {
					return i18n.Errorf("no recipe %q ships; those that do are %s", args[0], strings.Join(providers.Names(), ", "))
				}
				_, err := cmd.OutOrStdout().Write([]byte(text))
				return err
			},
		},
		testCommand(),
		guessCommand(),
	)
	return cmd
}

func listRecipes(cmd *cobra.Command) error {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	i18n.Fprintf(w, "NAME\tTITLE\tPROOF\tREQUEST\tANSWER\tNOTIFICATION\n")
	for _, name := range providers.Names() {
		r, _ := providers.Find(name)
		p, err := recipe.Compile(name, r, nil)
		if err != nil {
			return err
		}
		d := p.Describe()
		proof, _ := p.Proof()
		parts := []string{"-", "-", "-"}
		if d.Request != nil {
			parts[0] = d.Request.Part
		}
		if d.Answer != nil {
			parts[1] = d.Answer.Part
		}
		if d.Notification != nil {
			parts[2] = d.Notification.Part
		}
		for i := range parts {
			if parts[i] == "" {
				parts[i] = i18n.Sprintf("(token)")
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, p.Title(), proof, strings.Join(slices.Clone(parts), "\t")) //nolint:errcheck // a buffer
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := cmd.OutOrStdout().Write(out.Bytes())
	return err
}
