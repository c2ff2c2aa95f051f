package standin

import (
	"fmt"
	"strings"
)

// parseFlags parses "--flag value" and "--flag=value" into values, and "--flag"
// into switches, in any position, and returns the other words. An unknown flag
// is an error, because ignoring it could change the meaning.
func parseFlags(args []string, values map[string]*string, switches map[string]*bool) (words []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") {
			words = append(words, arg)
			continue
		}
		name, value, joined := strings.Cut(arg, "=")
		if on := switches[arg]; on != nil {
			*on = true
			continue
		}
		into := values[name]
		if into == nil {
			return nil, notDone(name)
		}
		if !joined {
			if len(args) == 0 {
				return nil, fmt.Errorf("flag needs an argument: %s", name)
			}
			value, args = args[0], args[1:]
		}
		*into = value
	}
	return words, nil
}
