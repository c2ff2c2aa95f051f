package iam

import "testing"

// By AWS's rules for keys with one value, with several and with none.
func TestConditionsOfACall(t *testing.T) {
	keys := Keys{"x:image": {"a"}, "x:names": {"TAG", "REF"}, "x:role": nil, "x:privileged": {"true"}, "x:tag/*": nil, "x:tag/team": {"a"}}
	for condition, want := range map[[3]string]struct{ holds, known bool }{
		{"Null", "x:image", "false"}:                     {true, true},
		{"Null", "x:image", "true"}:                      {false, true},
		{"Null", "X:Role", "true"}:                       {true, true},
		{"Null", "x:role", "false"}:                      {false, true},
		{"Null", "x:other", "true"}:                      {false, false},
		{"Null", "X:Tag/other", "true"}:                  {true, true},
		{"Null", "x:tag/", "true"}:                       {false, false},
		{"StringEquals", "x:tag/Team", "a"}:              {true, true},
		{"StringEquals", "x:image", "a"}:                 {true, true},
		{"StringEquals", "x:role", "a"}:                  {false, true},
		{"StringNotEquals", "x:role", "a"}:               {true, true},
		{"StringEquals", "x:names", "TAG"}:               {false, false}, // IAM leaves it open
		{"Bool", "x:privileged", "TRUE"}:                 {true, true},
		{"ForAnyValue:StringEquals", "x:names", "REF"}:   {true, true},
		{"ForAnyValue:StringNotEquals", "x:names", "*"}:  {true, true},
		{"ForAnyValue:StringLike", "x:names", "T*"}:      {true, true},
		{"ForAnyValue:StringEquals", "x:role", "a"}:      {false, true},
		{"ForAllValues:StringEquals", "x:names", "REF"}:  {false, true},
		{"ForAllValues:StringLike", "x:names", "*"}:      {true, true},
		{"ForAllValues:StringEquals", "x:role", "a"}:     {true, true},
		{"ForSomeValues:StringEquals", "x:names", "REF"}: {false, false},
		{"StringEqualsIfExists", "x:image", "a"}:         {false, false},
	} {
		holds, known := evaluate(condition[0], condition[1], condition[2:], keys)
		if holds != want.holds || known != want.known {
			t.Errorf("%q: holds %v, known %v, want %+v", condition, holds, known, want)
		}
	}
	if holds, _ := evaluate("ForAnyValue:StringNotEquals", "x:names", []string{"TAG", "REF"}, keys); holds {
		t.Error("each name is one of those, and yet one is said to be another")
	}
}
