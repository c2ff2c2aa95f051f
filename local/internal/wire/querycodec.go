package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxDepth bounds the nesting of a form. The SDK's inputs are nested much less.
const maxDepth = 32

// A node is a node of a form's tree: "A.member.1.B=x" is A → member → 1 → B
// with the value x.
type node struct {
	value    string
	children map[string]*node
}

// formTree builds the tree of a form, without the parameters of the protocol
// itself.
func formTree(form url.Values) (*node, error) {
	root := &node{}
	for key, values := range form {
		if key == "Action" || key == "Version" {
			continue
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("parameter %s is given %d times", key, len(values))
		}
		path := strings.Split(key, ".")
		if len(path) > maxDepth {
			return nil, fmt.Errorf("parameter %s nests deeper than %d", key, maxDepth)
		}
		root.at(path).value = values[0]
	}
	return root, nil
}

func (n *node) at(path []string) *node {
	for _, name := range path {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		if n.children[name] == nil {
			n.children[name] = &node{}
		}
		n = n.children[name]
	}
	return n
}

// items returns the children of a list, which are numbered from 1, in order.
func (n *node) items() ([]*node, error) {
	list := make([]*node, len(n.children))
	for key, child := range n.children {
		i, err := strconv.Atoi(key)
		if err != nil || i < 1 || i > len(list) || list[i-1] != nil {
			return nil, fmt.Errorf("list items must be numbered from 1 without a gap, and there is a %q among %d", key, len(list))
		}
		list[i-1] = child
	}
	return list, nil
}

// DecodeQuery decodes a form into a pointer to an SDK struct. It returns an
// error for a parameter that the struct does not have, because ignoring the
// parameter would silently ignore what the caller asked for.
func DecodeQuery(form url.Values, v any) error {
	tree, err := formTree(form)
	if err != nil {
		return err
	}
	return decodeQuery(tree, reflect.ValueOf(v).Elem())
}

func decodeQuery(n *node, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return decodeQuery(n, v.Elem())
	}
	switch {
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		return decodeQueryStruct(n, v)
	case v.Kind() == reflect.Slice && v.Type() != bytesType:
		return decodeQueryList(n, v)
	case v.Kind() == reflect.Map:
		return decodeQueryMap(n, v)
	case n.children != nil:
		return fmt.Errorf("parts were given where %s is expected", kindName(v.Type()))
	}
	return setText(n.value, v)
}

func decodeQueryStruct(n *node, v reflect.Value) error {
	for name, child := range n.children {
		index, ok := queryNames.index(v.Type(), name)
		if !ok {
			return fmt.Errorf("unknown parameter %q", name)
		}
		if err := decodeQuery(child, v.Field(index)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func decodeQueryList(n *node, v reflect.Value) error {
	holder := n.children["member"]
	if holder == nil {
		holder = &node{} // "List=" is an empty list
	}
	if len(n.children) > 1 || (len(n.children) == 1 && n.children["member"] == nil) {
		return errors.New("a list must be written as NAME.member.1, NAME.member.2, …")
	}
	items, err := holder.items()
	if err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		if err := decodeQuery(item, v.Index(i)); err != nil {
			return fmt.Errorf("member %d: %w", i+1, err)
		}
	}
	return nil
}

func decodeQueryMap(n *node, v reflect.Value) error {
	holder := n.children["entry"]
	if holder == nil || len(n.children) != 1 {
		return errors.New("a map must be written as NAME.entry.1.key, NAME.entry.1.value, …")
	}
	items, err := holder.items()
	if err != nil {
		return err
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(items)))
	for i, item := range items {
		key, value := item.children["key"], item.children["value"]
		if key == nil || value == nil || len(item.children) != 2 {
			return fmt.Errorf("entry %d needs exactly a key and a value", i+1)
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := decodeQuery(value, element); err != nil {
			return fmt.Errorf("%s: %w", key.value, err)
		}
		v.SetMapIndex(reflect.ValueOf(key.value).Convert(v.Type().Key()), element)
	}
	return nil
}

// setText parses a text and sets a scalar to its value.
func setText(text string, v reflect.Value) error {
	var err error
	switch {
	case v.Type() == timeType:
		var t time.Time
		if t, err = time.Parse(time.RFC3339, text); err == nil {
			v.Set(reflect.ValueOf(t.UTC()))
		}
	case v.Type() == bytesType:
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(text); err == nil {
			v.SetBytes(data)
		}
	default:
		err = setScalar(text, v)
	}
	if err != nil {
		return fmt.Errorf("%q is not %s", text, kindName(v.Type()))
	}
	return nil
}

func setScalar(text string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return err
	case reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(i)
		return err
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(f)
		return err
	default:
		return errors.ErrUnsupported
	}
	return nil
}

// EncodeQuery encodes a pointer to an SDK struct as the answer to action: lists
// as <member>, maps as <entry>, times in ISO 8601.
func EncodeQuery(v any, action, namespace, requestID string) ([]byte, error) {
	x := &xmlWriter{}
	x.open(action+"Response", namespace)
	x.open(action+"Result", "")
	if err := x.members(reflect.ValueOf(v).Elem()); err != nil {
		return nil, err
	}
	x.close(action + "Result")
	x.open("ResponseMetadata", "")
	x.text("RequestId", requestID)
	x.close("ResponseMetadata")
	x.close(action + "Response")
	return x.Bytes(), nil
}

type xmlWriter struct{ bytes.Buffer }

func (x *xmlWriter) open(name, namespace string) {
	x.WriteString("<" + name)
	if namespace != "" {
		x.WriteString(` xmlns="`)
		xml.EscapeText(x, []byte(namespace)) //nolint:errcheck // a buffer takes everything
		x.WriteString(`"`)
	}
	x.WriteString(">")
}

func (x *xmlWriter) close(name string) { x.WriteString("</" + name + ">") }

func (x *xmlWriter) text(name, text string) {
	x.open(name, "")
	xml.EscapeText(x, []byte(text)) //nolint:errcheck // a buffer takes everything
	x.close(name)
}

func (x *xmlWriter) members(v reflect.Value) error {
	for _, m := range queryNames.members(v.Type()) {
		if field := v.Field(m.index); !absent(field) {
			if err := x.element(m.name, field); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

func (x *xmlWriter) element(name string, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Pointer:
		return x.element(name, v.Elem())
	case v.Type() == timeType:
		x.text(name, v.Interface().(time.Time).UTC().Format("2006-01-02T15:04:05.000Z"))
		return nil
	case v.Type() == bytesType:
		x.text(name, base64.StdEncoding.EncodeToString(v.Bytes()))
		return nil
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		x.text(name, fmt.Sprint(v.Interface()))
		return nil
	}
	x.open(name, "")
	defer x.close(name)
	return x.content(v)
}

// content writes the content of the element of a struct, list or map.
func (x *xmlWriter) content(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Struct:
		return x.members(v)
	case reflect.Slice:
		for i := range v.Len() {
			if err := x.element("member", v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		for _, key := range sortedKeys(v) {
			x.open("entry", "")
			x.text("key", key.String())
			if err := x.element("value", v.MapIndex(key)); err != nil {
				return err
			}
			x.close("entry")
		}
		return nil
	}
	return fmt.Errorf("the local engine cannot encode a %s", v.Type())
}

func sortedKeys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
}
