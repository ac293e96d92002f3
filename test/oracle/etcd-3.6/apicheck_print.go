package main

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// apiNames gives what a server chooses for itself, or is told when it starts, the same name on each server.
type apiNames struct {
	ids   map[uint64]string
	texts map[string]string
}

func newAPINames() apiNames { return apiNames{ids: map[uint64]string{}, texts: map[string]string{}} }

// learn makes an id known, also where it stands in a text, in hexadecimal or decimal.
func (n apiNames) learn(id uint64, name string) {
	if id != 0 {
		n.ids[id] = name
		n.texts[strconv.FormatUint(id, 16)] = name
		n.texts[strconv.FormatUint(id, 10)] = name
	}
}

func (n apiNames) replaceIn(text string) string {
	for known, name := range n.texts {
		text = strings.ReplaceAll(text, known, name)
	}
	return text
}

// apiSilent are fields that say nothing comparable: gogo's own, and the term, which a step of its own shows.
func apiSilent(name string) bool { return strings.HasPrefix(name, "XXX_") || name == "RaftTerm" }

// plain turns an answer into maps, lists, numbers and texts, without what is zero.
func (n apiNames) plain(answer any) any { return n.value(reflect.ValueOf(answer)) }

func (n apiNames) value(value reflect.Value) any {
	switch value.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return nil
		}
		if text, isEnum := value.Interface().(fmt.Stringer); isEnum && value.Elem().Kind() == reflect.Int32 {
			return text.String()
		}
		return n.value(value.Elem())
	case reflect.Struct:
		return n.fields(value)
	case reflect.Slice, reflect.Array:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return n.text(string(value.Bytes()))
		}
		list := make([]any, value.Len())
		for at := range list {
			list[at] = n.value(value.Index(at))
		}
		return list
	case reflect.Map:
		all := map[string]any{}
		for _, key := range value.MapKeys() {
			all[fmt.Sprint(key.Interface())] = n.value(value.MapIndex(key))
		}
		return all
	case reflect.String:
		return n.text(value.String())
	case reflect.Int64:
		if name, isKnown := n.ids[uint64(value.Int())]; isKnown {
			return name
		}
		return strconv.FormatInt(value.Int(), 10)
	case reflect.Uint64:
		if name, isKnown := n.ids[value.Uint()]; isKnown {
			return name
		}
		return strconv.FormatUint(value.Uint(), 10)
	case reflect.Int32:
		if text, isEnum := value.Interface().(fmt.Stringer); isEnum {
			return text.String()
		}
	}
	return value.Interface()
}

func (n apiNames) fields(value reflect.Value) any {
	all := map[string]any{}
	for at := range value.NumField() {
		field := value.Type().Field(at)
		if !field.IsExported() || apiSilent(field.Name) || value.Field(at).IsZero() {
			continue
		}
		all[field.Name] = n.value(value.Field(at))
	}
	return all
}

// text shows bytes as they are when they can be printed, and long ones by their size and ends.
func (n apiNames) text(text string) string {
	if len(text) > 300 {
		return fmt.Sprintf("%d bytes: %s…%s", len(text), n.text(text[:16]), n.text(text[len(text)-16:]))
	}
	isPrintable := utf8.ValidString(text) && strings.IndexFunc(text, func(each rune) bool { return !unicode.IsPrint(each) }) < 0
	if !isPrintable {
		return "hex " + hex.EncodeToString([]byte(text))
	}
	return n.replaceIn(text)
}
