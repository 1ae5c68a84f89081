package command

import (
	"fmt"
	"os"
	"strings"

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
	found, err := parseRecipes(file)
	if err != nil {
		return nil, err
	}
	return check(found)
}

// parseRecipes reads the recipes of a file, and does not compile them.
func parseRecipes(file string) (protocol.Recipes, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, i18n.Errorf("reading the recipes: %w", err)
	}
	blocks, err := caddyfile.Parse(file, text)
	if err == nil && len(blocks) > 0 && len(blocks[0].Keys) == 0 {
		return recipesOf(file, blocks[0])
	}
	return providers.Parse(file, text)
}

// recipesOf returns the recipes in the global block of a Caddyfile.
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
	return found, nil
}

// check compiles recipes, so that their mistakes are known with their lines.
func check(found map[string]recipe.Recipe) (protocol.Recipes, error) {
	for name, r := range found {
		if protocol.Exists(name) {
			return nil, i18n.Errorf("a recipe of the name %s ships; call yours another name, at %s", name, r.At)
		}
		if err := recipe.Check(name, r); err != nil {
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
	rows := [][]string{strings.Split(strings.TrimSpace(i18n.Sprintf("NAME\tTITLE\tPROOF\tREQUEST\tANSWER\tNOTIFICATION\n")), "\t")}
	for _, name := range providers.Names() {
		r, _ := providers.Find(name)
		p, err := recipe.Compile(name, r, nil)
		if err != nil {
			return err
		}
		d := p.Describe()
		proof, _ := p.Proof()
		row := []string{name, p.Title(), proof, "-", "-", "-"}
		if d.Request != nil {
			row[3] = shortened(d.Request.Part)
		}
		if d.Answer != nil {
			row[4] = shortened(d.Answer.Part)
		}
		if d.Notification != nil {
			row[5] = shortened(d.Notification.Part)
		}
		rows = append(rows, row)
	}
	_, err := cmd.OutOrStdout().Write([]byte(table(rows)))
	return err
}

// shortened returns the members that are signed, of many the first and how many follow,
// so that a row fits into a line.
func shortened(part string) string {
	if part == "" {
		return i18n.Sprintf("(token)")
	}
	if first, rest, many := strings.Cut(part, ","); many && len(part) > 24 {
		return fmt.Sprintf("%s +%d", first, 1+strings.Count(rest, ","))
	}
	return part
}

// table returns rows whose cells stand below each other, Chinese ones too.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			out.WriteString(cell + strings.Repeat(" ", widths[i]-columns(cell)+2))
		}
		out.WriteString(row[len(row)-1] + "\n")
	}
	return out.String()
}
