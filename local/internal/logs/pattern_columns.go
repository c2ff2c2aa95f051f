package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// A column is one of a pattern of columns: a name, which means nothing, with a
// condition that its text must pass; or an ellipsis, for any number of columns.
type column struct {
	any   bool
	holds func(text string) bool
}

// parseColumns reads a pattern such as [ip, ..., request = *.html*, status =
// 404 || status = 410, bytes > 1000]. An event passes that has as many columns,
// separated by space, and passes the condition of each. What is in brackets or
// quotes is one column.
func parseColumns(text string) (pattern, error) {
	inner, closed := strings.CutSuffix(strings.TrimPrefix(text, "["), "]")
	if !closed {
		return nil, invalidPattern(text, "a pattern of columns ends in ]")
	}
	var columns []column
	before, ellipsis := 0, false
	for _, part := range splitColumns(inner) {
		c, err := parseColumn(part)
		if err == nil && c.any && ellipsis {
			err = errors.New("it has two ellipses")
		}
		if err != nil {
			return nil, invalidPattern(text, err.Error())
		}
		ellipsis = ellipsis || c.any
		if !ellipsis {
			before++
		}
		columns = append(columns, c)
	}
	if !ellipsis {
		return func(message string) bool { return passColumns(columns, columnsOf(message)) }, nil
	}
	head, tail := columns[:before], columns[before+1:]
	return func(message string) bool {
		texts := columnsOf(message)
		last := len(texts) - len(tail)
		return last >= len(head) && passColumns(head, texts[:len(head)]) && passColumns(tail, texts[last:])
	}, nil
}

func passColumns(columns []column, texts []string) bool {
	if len(columns) != len(texts) {
		return false
	}
	for i, c := range columns {
		if !c.holds(texts[i]) {
			return false
		}
	}
	return true
}

var columnParts = lazyregexp.New(`"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)+%|[^,"%]+|.`)

// splitColumns splits a pattern at its commas outside of quotes and regular
// expressions.
func splitColumns(text string) []string {
	parts := []string{""}
	for _, token := range columnParts().FindAllString(text, -1) {
		if token == "," {
			parts = append(parts, "")
			continue
		}
		parts[len(parts)-1] += token
	}
	return parts
}

var columnName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// parseColumn reads a name, an ellipsis, or conditions on a name.
func parseColumn(text string) (column, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "..." || text == "…":
		return column{any: true}, nil
	case columnName().MatchString(text):
		return column{holds: func(string) bool { return true }}, nil
	}
	p := &jsonPattern{tokens: columnTokens().FindAllString(text, -1)}
	p.selector = func() (func(any) (any, bool), error) {
		name := p.next()
		if !columnName().MatchString(name) {
			return nil, fmt.Errorf("the name of a column is expected, and there is %q", name)
		}
		return func(document any) (any, bool) { return document, true }, nil
	}
	holds, err := p.either()
	switch {
	case err != nil:
		return column{}, err
	case p.peek() != "":
		return column{}, fmt.Errorf("%q follows the end of a column", p.peek())
	case strings.Join(p.tokens, "") != withoutSpace(text):
		return column{}, errors.New("it has characters that belong to nothing")
	}
	return column{holds: func(text string) bool { return holds(columnValue(text)) }}, nil
}

// columnTokens are quoted strings, regular expressions, operators and
// parentheses, and words.
var columnTokens = lazyregexp.New(`"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)+%|&&|\|\||!=|<=|>=|[=<>()]|[^\s=<>()!&|"%]+`)

var numberForm = lazyregexp.New(`^-?\d+(\.\d+)?$`)

// columnValue returns the value of a column as that of a property is compared:
// a number or a text.
func columnValue(text string) any {
	if numberForm().MatchString(text) {
		return json.Number(text)
	}
	return text
}

var columnForm = lazyregexp.New(`\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|\S+`)

// columnsOf splits a message into its columns.
func columnsOf(message string) []string {
	var texts []string
	for _, m := range columnForm().FindAllStringSubmatch(message, -1) {
		switch {
		case strings.HasPrefix(m[0], "[") && strings.HasSuffix(m[0], "]"):
			texts = append(texts, m[1])
		case strings.HasPrefix(m[0], `"`) && strings.HasSuffix(m[0], `"`) && len(m[0]) > 1:
			texts = append(texts, m[2])
		default:
			texts = append(texts, m[0])
		}
	}
	return texts
}
