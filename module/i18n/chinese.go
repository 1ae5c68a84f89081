package i18n

import (
	"maps"
	"sync"
)

// chinese has the Chinese template of each English one. A template whose arguments
// come in another order numbers them, as in %[2]s. It is made when the first Chinese text
// is, and not at each start.
var chinese = sync.OnceValue(func() map[string]string {
	return catalogue(chineseProblem, chineseMessage, chineseRecipe, chineseKeys, chineseDiagnosis, chineseDoctor, chineseCommand, chineseHelp, chineseLoad, chineseCompile, chineseCompileWords, chineseVault, chineseInner, chineseAttack)
})

func catalogue(parts ...map[string]string) map[string]string {
	all := make(map[string]string)
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}
