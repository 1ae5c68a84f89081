package app

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keysource"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("countersign", parseGlobal)
}

// globals are the options of the global block, by their first word. Each parser
// finds the dispenser at that word.
var globals = map[string]func(*App, *caddyfile.Dispenser) error{
	"audit":    (*App).parseAudit,
	"keys":     (*App).parseKeys,
	"language": (*App).parseLanguage,
	"recipe":   (*App).parseRecipe,

	"replace_running": (*App).parseReplaceRunning,
}

// parseGlobal sets up the app from the global options. Syntax:
//
//	countersign {
//	    keys <source> <arguments...> {
//	        ...
//	    }
//	    audit {
//	        ...
//	    }
//	    language zh|en
//	    replace_running
//	    recipe <name> {
//	        <lines of the recipe>
//	    }
//	}
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the word "countersign"
	if existing != nil {
		return nil, d.WrapErr(i18n.Errorf("countersign is given twice; put all keys into one block"))
	}
	app := new(App)
	if d.NextArg() {
		return nil, d.WrapErr(i18n.Errorf("%s takes a block, and no value", "countersign"))
	}
	for d.NextBlock(0) {
		parse, ok := globals[d.Val()]
		if !ok {
			return nil, d.WrapErr(i18n.Errorf("unknown option %q of countersign; it has %s", d.Val(), list(slices.Sorted(maps.Keys(globals)))))
		}
		if err := parse(app, d); err != nil {
			return nil, err
		}
	}
	if len(app.SourcesRaw) == 0 {
		return nil, d.WrapErr(i18n.Errorf("countersign has no keys; add `keys file <dir>` or `keys vault <address>`"))
	}
	return httpcaddyfile.App{Name: "countersign", Value: caddyconfig.JSON(app, nil)}, nil
}

func (a *App) parseAudit(d *caddyfile.Dispenser) error {
	if a.Audit != nil {
		return d.WrapErr(i18n.Errorf("audit is given twice; put all its options into one block"))
	}
	var err error
	a.Audit, err = telemetry.ParseAudit(d)
	return err
}

// parseRecipe reads a recipe and compiles it, so that its mistakes are known with
// their lines.
func (a *App) parseRecipe(d *caddyfile.Dispenser) error {
	var r recipe.Recipe
	name, err := r.UnmarshalCaddyfile(d)
	if err != nil {
		return err
	}
	if _, twice := a.Recipes[name]; twice {
		return d.WrapErr(i18n.Errorf("the recipe %s stands twice", name))
	}
	if a.Recipes == nil {
		a.Recipes = make(protocol.Recipes)
	}
	a.Recipes[name] = r
	return checkRecipe(name, r)
}

// checkRecipe refuses a recipe that does not compile, or has the name of one that
// ships.
func checkRecipe(name string, r recipe.Recipe) error {
	if protocol.Exists(name) {
		return i18n.Errorf("a recipe of the name %s ships; call yours another name, at %s", name, r.At)
	}
	if err := recipe.CheckName(name); err != nil { // of a JSON configuration
		return err
	}
	return recipe.Check(name, r)
}

// RecipesOf returns the recipes of the global options of a Caddyfile, given what
// httpcaddyfile.Helper.Option("countersign") has.
func RecipesOf(option any) protocol.Recipes {
	global, ok := option.(httpcaddyfile.App)
	if !ok {
		return nil
	}
	var app struct {
		Recipes protocol.Recipes `json:"recipes"`
	}
	if err := json.Unmarshal(global.Value, &app); err != nil {
		return nil // it was written by parseGlobal
	}
	return app.Recipes
}

func (a *App) parseLanguage(d *caddyfile.Dispenser) error {
	if a.Language != "" {
		return d.WrapErr(i18n.Errorf("language is given twice"))
	}
	if !d.AllArgs(&a.Language) || a.Language != "zh" && a.Language != "en" {
		return d.WrapErr(i18n.Errorf("language takes zh or en, the language of problems where a request prefers none"))
	}
	return nil
}

func (a *App) parseReplaceRunning(d *caddyfile.Dispenser) error {
	if a.ReplaceRunning {
		return d.WrapErr(i18n.Errorf("replace_running is given twice"))
	}
	if d.NextArg() {
		return d.WrapErr(i18n.Errorf("replace_running takes no value: with it Caddy starts although another process listens on the same port"))
	}
	a.ReplaceRunning = true
	return nil
}

func (a *App) parseKeys(d *caddyfile.Dispenser) error {
	at := d.NewFromNextSegment()
	at.Next() // the word "keys"
	if !at.NextArg() {
		return at.WrapErr(i18n.Errorf("keys needs a source, such as file or vault"))
	}
	kind := at.Val()
	id := keysource.Namespace + "." + kind
	if _, err := caddy.GetModule(id); err != nil {
		return at.WrapErr(i18n.Errorf("unknown key source %q; known are %s", kind, known(keysource.Namespace)))
	}
	unmarshaled, err := caddyfile.UnmarshalModule(at, id)
	if err != nil {
		return err
	}
	src, ok := unmarshaled.(keysource.Source)
	if !ok {
		return at.WrapErr(i18n.Errorf("module %s is not a key source", id))
	}
	label := src.Terms().Label()
	if a.labels[label] {
		return at.WrapErr(i18n.Errorf("two key sources are called %q; give each a name of its own", label))
	}
	if a.labels == nil {
		a.labels = make(map[string]bool)
	}
	a.labels[label] = true
	a.SourcesRaw = append(a.SourcesRaw, caddyconfig.JSONModuleObject(src, "source", kind, nil))
	return nil
}

// list joins words as a sentence does.
func list(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// known lists the modules of a namespace by their last names.
func known(namespace string) string {
	var names []string
	for _, info := range caddy.GetModules(namespace) {
		names = append(names, info.ID.Name())
	}
	return strings.Join(names, ", ")
}
