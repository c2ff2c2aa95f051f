package template

import "fmt"

// Output resolves one output's value, and the name that it is exported by, if
// it is. An unknown value is written as change sets write it.
func (r *Resolver) Output(key string, o output) (value, exportName string, err error) {
	if value, err = r.outputText("Outputs/"+key+"/Value", o.Value); err != nil || o.Export == nil {
		return value, "", err
	}
	exportName, err = r.outputText("Outputs/"+key+"/Export/Name", o.Export.Name)
	return value, exportName, err
}

func (r *Resolver) outputText(path string, value any) (string, error) {
	resolved, err := r.value(path, value)
	if err != nil {
		return "", err
	}
	switch resolved.(type) {
	case Unknown:
		return KnownAfterApply, nil
	case map[string]any, []any, nil, noValue:
		return "", fmt.Errorf("%s must be a string; it is %s", path, KindOf(resolved))
	}
	return ScalarText(resolved), nil
}
