// Landscape holds 219 rules by which some 185 providers sign, each with where it
// was read, and says of each whether a recipe that ships, or one of recipes/,
// expresses it, or why none does. The tests seal and open a message of our own with
// every one of these recipes, and compare the texts that are signed with texts that
// were written by hand.
//
//	go run ./integration/landscape
package main

import (
	"embed"
	"encoding/csv"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
)

//go:embed rules.tsv recipes/*.caddyfile
var files embed.FS

// The states of a rule.
const (
	ships       = "ships"
	expressible = "expressible"
	not         = "not"
)

// rule is one row of rules.tsv: facts about a provider's rule, and what becomes of
// it here.
type rule struct {
	provider, region, source, where, signed, empties, algorithm, encoding, format, encryption, answer, notification string

	state  string
	recipe string // that ships, or of recipes/
	why    string // not, or what is not expressed
}

func readRules() ([]rule, error) {
	f, err := files.Open("rules.tsv")
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading rules.tsv: %w", err)
	}
	var all []rule
	for _, row := range rows[1:] {
		var x rule
		for i, to := range []*string{
			&x.provider, &x.region, &x.source, &x.where, &x.signed, &x.empties, &x.algorithm, &x.encoding,
			&x.format, &x.encryption, &x.answer, &x.notification, &x.state, &x.recipe, &x.why,
		} {
			*to = row[i]
		}
		all = append(all, x)
	}
	return all, nil
}

// readRecipes reads the recipes of recipes/, as a configuration would.
func readRecipes() (map[string]recipe.Recipe, error) {
	found, err := files.ReadDir("recipes")
	if err != nil {
		return nil, err
	}
	all := make(map[string]recipe.Recipe)
	for _, f := range found {
		name := path.Join("recipes", f.Name())
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		recipes, err := providers.Parse(name, text)
		if err != nil {
			return nil, err
		}
		for name, r := range recipes {
			if other, twice := all[name]; twice {
				return nil, fmt.Errorf("the recipe %s stands at %s and at %s", name, other.At, r.At)
			}
			all[name] = r
		}
	}
	return all, nil
}

// find returns the recipe of a rule.
func find(x rule, own map[string]recipe.Recipe) (recipe.Recipe, bool) {
	if x.state == ships {
		return providers.Find(x.recipe)
	}
	r, ok := own[x.recipe]
	return r, ok
}

// count counts the rules by their states.
func count(all []rule) map[string]int {
	n := make(map[string]int)
	for _, x := range all {
		n[x.state]++
	}
	return n
}

// sentence says the three numbers, as the README does.
func sentence(n map[string]int) string {
	return fmt.Sprintf("Of %d rules read in the wild, %d ship, %d more are expressible, and %d are not",
		n[ships]+n[expressible]+n[not], n[ships], n[expressible], n[not])
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	all, err := readRules()
	if err != nil {
		return err
	}
	own, err := readRecipes()
	if err != nil {
		return err
	}
	for _, x := range all {
		switch r, ok := find(x, own); {
		case x.state == not:
			fmt.Printf("%s\t%s\t%s\n", x.state, x.provider, x.why) //nolint:forbidigo // for people
		case !ok:
			return fmt.Errorf("%s: there is no recipe %s", x.provider, x.recipe)
		default:
			if _, err := recipe.Compile(x.recipe, r, nil); err != nil {
				return fmt.Errorf("%s: %w", x.provider, err)
			}
			fmt.Println(strings.TrimSpace(strings.Join([]string{x.state, x.provider, x.recipe, x.why}, "\t"))) //nolint:forbidigo // for people
		}
	}
	fmt.Println(sentence(count(all)) + ".") //nolint:forbidigo // for people
	return nil
}
