package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"time"
)

// EncodeJSON encodes a pointer to an SDK struct as AWS JSON 1.1 does: members
// by their JSON names, nil omitted, times as fractional epoch seconds, []byte
// in base64.
func EncodeJSON(v any) ([]byte, error) {
	e := jsonEncoder{long: map[string][]byte{}}
	err := e.encode(reflect.ValueOf(v))
	return e.Bytes(), err
}

// longText is the length in bytes from which a text is encoded once and reused
// in the same response, because 100 builds of a project contain the same
// buildspec 100 times.
const longText = 1 << 10

// A jsonEncoder encodes values as AWS JSON.
type jsonEncoder struct {
	bytes.Buffer
	long map[string][]byte // texts that were encoded
}

func (e *jsonEncoder) encode(v reflect.Value) error {
	switch {
	case v.Type() == timeType:
		e.WriteString(strconv.FormatFloat(epochSeconds(v.Interface().(time.Time)), 'f', -1, 64))
		return nil
	case v.Type() == bytesType:
		return e.text(base64.StdEncoding.EncodeToString(v.Bytes()))
	}
	switch v.Kind() {
	case reflect.Pointer:
		return e.encode(v.Elem())
	case reflect.Struct:
		return e.members(v)
	case reflect.Slice:
		return e.list(v)
	case reflect.Map:
		return e.entries(v)
	case reflect.String:
		return e.text(v.String())
	case reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		return e.value(v.Interface())
	}
	return fmt.Errorf("the local engine cannot encode a %s", v.Type())
}

func (e *jsonEncoder) members(v reflect.Value) error {
	e.WriteByte('{')
	first := true
	for _, m := range jsonNames.members(v.Type()) {
		field := v.Field(m.index)
		if absent(field) {
			continue
		}
		if !first {
			e.WriteByte(',')
		}
		first = false
		e.Write(m.key)
		if err := e.encode(field); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	e.WriteByte('}')
	return nil
}

// absent reports whether a member has no value: a nil, or an enum that is not
// set.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	}
	return false
}

func (e *jsonEncoder) list(v reflect.Value) error {
	e.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			e.WriteByte(',')
		}
		if err := e.encode(v.Index(i)); err != nil {
			return err
		}
	}
	e.WriteByte(']')
	return nil
}

func (e *jsonEncoder) entries(v reflect.Value) error {
	e.WriteByte('{')
	for i, key := range sortedKeys(v) {
		if i > 0 {
			e.WriteByte(',')
		}
		if err := e.text(key.String()); err != nil {
			return err
		}
		e.WriteByte(':')
		if err := e.encode(v.MapIndex(key)); err != nil {
			return err
		}
	}
	e.WriteByte('}')
	return nil
}

func (e *jsonEncoder) text(text string) error {
	if len(text) < longText {
		return e.value(text)
	}
	data, known := e.long[text]
	if !known {
		var err error
		if data, err = json.Marshal(text); err != nil {
			return err
		}
		e.long[text] = data
	}
	e.Write(data)
	return nil
}

func (e *jsonEncoder) value(v any) error {
	data, err := json.Marshal(v)
	e.Write(data)
	return err
}

// epochSeconds returns the time in seconds with milliseconds, which is the
// precision of AWS's timestamps and of the SDK's parser.
func epochSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// DecodeJSON decodes AWS JSON 1.1 into a pointer to an SDK struct. It returns
// an error for a member that the struct does not have, because ignoring the
// member would silently ignore what the caller asked for.
func DecodeJSON(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("the body has something after its JSON object")
	}
	return decodeJSON(tree, reflect.ValueOf(v).Elem())
}

func decodeJSON(tree any, v reflect.Value) error {
	if tree == nil {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return decodeJSON(tree, v.Elem())
	}
	switch tree := tree.(type) {
	case map[string]any:
		return decodeJSONObject(tree, v)
	case []any:
		return decodeJSONArray(tree, v)
	case json.Number:
		return decodeJSONNumber(tree, v)
	case string:
		return decodeJSONString(tree, v)
	case bool:
		if v.Kind() != reflect.Bool {
			return fmt.Errorf("a boolean was given where %s is expected", kindName(v.Type()))
		}
		v.SetBool(tree)
	}
	return nil
}

func decodeJSONObject(tree map[string]any, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		return decodeJSONStruct(tree, v)
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMapWithSize(v.Type(), len(tree)))
		for key, value := range tree {
			element := reflect.New(v.Type().Elem()).Elem()
			if err := decodeJSON(value, element); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), element)
		}
		return nil
	}
	return fmt.Errorf("an object was given where %s is expected", kindName(v.Type()))
}

func decodeJSONStruct(tree map[string]any, v reflect.Value) error {
	for name, value := range tree {
		index, ok := jsonNames.index(v.Type(), name)
		if !ok {
			return fmt.Errorf("unknown member %q", name)
		}
		if err := decodeJSON(value, v.Field(index)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func decodeJSONArray(tree []any, v reflect.Value) error {
	if v.Kind() != reflect.Slice || v.Type() == bytesType {
		return fmt.Errorf("a list was given where %s is expected", kindName(v.Type()))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(tree), len(tree)))
	for i, value := range tree {
		if err := decodeJSON(value, v.Index(i)); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

func decodeJSONNumber(n json.Number, v reflect.Value) error {
	if v.Type() == timeType {
		seconds, err := n.Float64()
		if err != nil || math.Abs(seconds) > 1e12 {
			return fmt.Errorf("%s is not a time in epoch seconds", n)
		}
		v.Set(reflect.ValueOf(time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()))
		return nil
	}
	switch v.Kind() {
	case reflect.Int32, reflect.Int64:
		i, err := n.Int64()
		if err != nil || v.OverflowInt(i) {
			return fmt.Errorf("%s is not %s", n, kindName(v.Type()))
		}
		v.SetInt(i)
	case reflect.Float32, reflect.Float64:
		f, err := n.Float64()
		if err != nil {
			return fmt.Errorf("%s is not %s", n, kindName(v.Type()))
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("a number was given where %s is expected", kindName(v.Type()))
	}
	return nil
}

func decodeJSONString(s string, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(s)
		return nil
	case v.Type() == bytesType:
		data, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("not base64: %w", err)
		}
		v.SetBytes(data)
		return nil
	}
	return fmt.Errorf("a string was given where %s is expected", kindName(v.Type()))
}

// kindName returns the name of a Go type's wire format, for error messages.
func kindName(t reflect.Type) string {
	switch {
	case t == timeType:
		return "a time"
	case t == bytesType:
		return "base64 data"
	}
	names := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "a boolean", reflect.Int32: "a 32-bit integer", reflect.Int64: "a 64-bit integer",
		reflect.Float32: "a number", reflect.Float64: "a number", reflect.Slice: "a list", reflect.Map: "a map", reflect.Struct: "an object",
	}
	if name, ok := names[t.Kind()]; ok {
		return name
	}
	return "a " + t.String() + ", which the local engine cannot decode,"
}
