package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// A condition is what a JSON pattern says of an event's JSON.
type condition func(document any) bool

// parseJSONPattern reads a pattern such as { ($.level = "ERROR" || $.code >=
// 500) && $.user.id NOT EXISTS }. A message that is not JSON passes none.
func parseJSONPattern(text string) (pattern, error) {
	p := &jsonPattern{tokens: jsonTokens().FindAllString(text, -1)}
	p.selector = p.property
	holds, err := p.parse()
	if err == nil && strings.Join(p.tokens, "") != withoutSpace(text) {
		err = errors.New("it has characters that belong to nothing")
	}
	if err != nil {
		return nil, invalidPattern(text, err.Error())
	}
	return func(message string) bool {
		var document any
		decoder := json.NewDecoder(strings.NewReader(message))
		decoder.UseNumber()
		return decoder.Decode(&document) == nil && holds(document)
	}, nil
}

// jsonTokens are selectors, quoted strings, regular expressions, operators and
// parentheses, and words.
var jsonTokens = lazyregexp.New(`\$(?:\.[A-Za-z0-9_-]+|\[\d+\]|\.?\['[^']*'\]|\.?\["[^"]*"\])*|"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)+%|&&|\|\||!=|<=|>=|[=<>(){}]|[^\s=<>(){}!&|"%$]+`)

var quotedOrSpace = lazyregexp.New(`"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)+%|'[^']*'|\s+`)

// withoutSpace takes the space between tokens away.
func withoutSpace(text string) string {
	return quotedOrSpace().ReplaceAllStringFunc(text, func(part string) string {
		if strings.TrimSpace(part) == "" {
			return ""
		}
		return part
	})
}

// A jsonPattern is a pattern that is being read; at is the next token.
type jsonPattern struct {
	tokens []string
	at     int

	// selector reads what a condition is about: it returns the value of that in
	// an event, and whether there is one.
	selector func() (func(event any) (any, bool), error)
}

func (p *jsonPattern) next() string {
	if p.at == len(p.tokens) {
		return ""
	}
	p.at++
	return p.tokens[p.at-1]
}

func (p *jsonPattern) peek() string {
	if p.at == len(p.tokens) {
		return ""
	}
	return p.tokens[p.at]
}

func (p *jsonPattern) expect(token string) error {
	if got := p.next(); got != token {
		return fmt.Errorf("%q is expected, and there is %q", token, got)
	}
	return nil
}

func (p *jsonPattern) parse() (condition, error) {
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	holds, err := p.either()
	if err == nil {
		err = p.expect("}")
	}
	if err == nil && p.peek() != "" {
		err = fmt.Errorf("%q follows its end", p.peek())
	}
	return holds, err
}

func (p *jsonPattern) either() (condition, error) {
	return p.joined("||", p.both, func(a, b condition) condition { return func(d any) bool { return a(d) || b(d) } })
}

func (p *jsonPattern) both() (condition, error) {
	return p.joined("&&", p.single, func(a, b condition) condition { return func(d any) bool { return a(d) && b(d) } })
}

// joined reads one or more conditions with an operator between them.
func (p *jsonPattern) joined(operator string, part func() (condition, error), join func(a, b condition) condition) (condition, error) {
	all, err := part()
	for err == nil && p.peek() == operator {
		p.next()
		var more condition
		more, err = part()
		all = join(all, more)
	}
	return all, err
}

func (p *jsonPattern) single() (condition, error) {
	if p.peek() == "(" {
		p.next()
		holds, err := p.either()
		if err != nil {
			return nil, err
		}
		return holds, p.expect(")")
	}
	selected, err := p.selector()
	if err != nil {
		return nil, err
	}
	compare, err := p.comparison()
	return func(document any) bool { return compare(selected(document)) }, err
}

// property reads the selector of a property.
func (p *jsonPattern) property() (func(document any) (any, bool), error) {
	selector := p.next()
	if !strings.HasPrefix(selector, "$") || selector == "$" {
		return nil, fmt.Errorf("a selector such as $.name is expected, and there is %q", selector)
	}
	steps := selectorSteps().FindAllStringSubmatch(selector, -1)
	return func(document any) (any, bool) { return selectValue(document, steps) }, nil
}

var selectorSteps = lazyregexp.New(`\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]`)

// selectValue follows a selector's steps, and reports whether there is
// something.
func selectValue(value any, steps [][]string) (any, bool) {
	for _, step := range steps {
		if step[2] != "" {
			list, _ := value.([]any)
			i, err := strconv.Atoi(step[2])
			if err != nil || i >= len(list) {
				return nil, false
			}
			value = list[i]
			continue
		}
		object, _ := value.(map[string]any)
		var found bool
		if value, found = object[step[1]+step[3]+step[4]]; !found {
			return nil, false
		}
	}
	return value, true
}

// comparison reads what follows a selector.
func (p *jsonPattern) comparison() (func(value any, found bool) bool, error) {
	switch operator := p.next(); strings.ToUpper(operator) {
	case "NOT":
		if next := p.next(); !strings.EqualFold(next, "EXISTS") {
			return nil, fmt.Errorf("EXISTS is expected after NOT, and there is %q", next)
		}
		return func(_ any, found bool) bool { return !found }, nil
	case "IS":
		want, known := constants[strings.ToUpper(p.next())]
		if !known {
			return nil, errors.New("TRUE, FALSE or NULL is expected after IS")
		}
		return func(value any, found bool) bool { return found && value == want }, nil
	case "=", "!=":
		equals, err := equality(p.next())
		return func(value any, found bool) bool { return found && equals(value) == (operator == "=") }, err
	case "<", "<=", ">", ">=":
		limit, err := strconv.ParseFloat(p.next(), 64)
		if err != nil {
			return nil, fmt.Errorf("%s compares with a number", operator)
		}
		return func(value any, _ bool) bool {
			number, ok := value.(json.Number)
			n, err := number.Float64()
			return ok && err == nil && orders[operator](n, limit)
		}, nil
	default:
		return nil, fmt.Errorf("an operator is expected, and there is %q", operator)
	}
}

var constants = map[string]any{"TRUE": true, "FALSE": false, "NULL": nil}

var orders = map[string]func(a, b float64) bool{
	"<":  func(a, b float64) bool { return a < b },
	"<=": func(a, b float64) bool { return a <= b },
	">":  func(a, b float64) bool { return a > b },
	">=": func(a, b float64) bool { return a >= b },
}

// equality reads what = and != compare with: a number, a text with * for
// anything, or a regular expression.
func equality(token string) (func(value any) bool, error) {
	text, isRegexp := strings.CutPrefix(token, "%")
	expression := strings.TrimSuffix(text, "%")
	unquoted, quoted := strings.CutPrefix(token, `"`)
	if quoted {
		unquoted = unescape(strings.TrimSuffix(unquoted, `"`))
	}
	if !isRegexp {
		expression = "^" + strings.ReplaceAll(regexp.QuoteMeta(unquoted), `\*`, "(?s:.*)") + "$"
	}
	form, err := regexp.Compile(expression)
	if err != nil || token == "" || strings.ContainsAny(token[:1], "(){}=<>!&|$") {
		return nil, fmt.Errorf("a value is expected, and there is %q", token)
	}
	want, numberErr := strconv.ParseFloat(token, 64)
	return func(value any) bool {
		switch value := value.(type) {
		case string:
			return form.MatchString(value)
		case json.Number:
			n, err := value.Float64()
			return err == nil && (numberErr == nil && n == want || !quoted && numberErr != nil && form.MatchString(value.String()))
		}
		return false
	}, nil
}
