package ecr

import (
	"encoding/base64"
	"strconv"
)

// maxPage is the number of results in a page unless the caller asks for
// another, as in ECR's API.
const maxPage = 100

// paginate returns one page of all, and the token of the next page, nil after
// the last.
func paginate[T any](all []T, maxResults *int32, token *string) ([]T, *string, error) {
	size := maxPage
	if maxResults != nil {
		if size = int(*maxResults); size < 1 || size > 1000 {
			return nil, nil, invalidParameter("Invalid parameter at 'maxResults': %d is not between 1 and 1000", size)
		}
	}
	start := 0
	if token != nil {
		text, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil {
			return nil, nil, invalidParameter("Invalid parameter at 'nextToken': %q is not a token of this service", *token)
		}
		if start, err = strconv.Atoi(string(text)); err != nil || start < 0 {
			return nil, nil, invalidParameter("Invalid parameter at 'nextToken': %q is not a token of this service", *token)
		}
	}
	start = min(start, len(all))
	end := min(start+size, len(all))
	if end == len(all) {
		return all[start:end], nil, nil
	}
	next := encode([]byte(strconv.Itoa(end)))
	return all[start:end], &next, nil
}
