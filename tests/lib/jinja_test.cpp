#include "lib/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/error.h"

namespace surprisal::jinja {
namespace {

using ::testing::HasSubstr;

std::string render(std::string_view source, const Dict& variables = {}) {
  return Template(source).render(variables);
}

/// The error that parsing or rendering must end in.
Error refusal(std::string_view source) {
  try {
    const std::string text = render(source);
    ADD_FAILURE() << "rendered: " << text.substr(0, 100);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::kInternal, ""};
}

// What follows was checked against Jinja 3.1 with trim_blocks and lstrip_blocks.

TEST(Jinja, WhitespaceAroundTags) {
  EXPECT_EQ(render("a\n{% if 1 %}\nb\n{% endif %}\nc\n"), "a\nb\nc");
  EXPECT_EQ(render("a\n   {% if 1 %} b {% endif %}  \nc"), "a\n b   \nc");
  EXPECT_EQ(render("a \n {%- if 1 -%} \n b \n {%- endif %} c"), "ab c");
  EXPECT_EQ(render("a\n  {{ 1 }}\n  {#- x -#}  \n b"), "a\n  1b");
  EXPECT_EQ(render("a\n  {# x #}\nb"), "a\nb");
  EXPECT_EQ(render("  {%+ if 1 +%}\nb{% endif %}"), "  \nb");
  EXPECT_EQ(render("x {{- ' y ' -}} \n z"), "x y z");
  EXPECT_EQ(render("a\r\nb\r\n\n"), "a\nb\n");
}

TEST(Jinja, Expressions) {
  EXPECT_EQ(render("{{ 1 + 2 * 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 1 ~ 'a' ~ none }}"),
            "7 -4 2 1aNone");
  EXPECT_EQ(render("{{ 'a' + 'b' | upper }} {{ ('a' + 'b') | upper }}"), "aB AB");
  EXPECT_EQ(render("{{ not x is defined }} {{ x == 1 }} {{ 'b' in 'abc' }} {{ 2 not in [1, 3] }}"),
            "True False True True");
  EXPECT_EQ(render("{{ 'y' if x else 'n' }}|{{ 'y' if x }}|{{ x or 'z' }}|{{ 1 and 0 }}"),
            "n||z|0");
  EXPECT_EQ(render("{{ [1, 2, 3][-1] }}{{ [1, 2, 3][1:] | join('-') }}{{ 'héllo'[1:3] }}"),
            "32-3él");
  EXPECT_EQ(render("{{ [1, 2, 3][::-1] | join }}{{ {'a': 5}.a }}{{ {'a': 5}['b'] is defined }}"),
            "3215False");
  EXPECT_EQ(render(R"({{ "\n\t\"\x41\u00e9\\" }}{{ '\d' }})"), "\n\t\"Aé\\\\d");
  EXPECT_EQ(render("{{ '}}' }}{{ {'a': {'b': 1}}.a.b }}"), "}}1");
}

TEST(Jinja, Statements) {
  EXPECT_EQ(render("{% for x in [1, 2, 3] if x != 2 %}{{ loop.index }}{{ x }}{{ ',' if not "
                   "loop.last }}{% endfor %}"),
            "11,23");
  EXPECT_EQ(render("{% for x in [] %}a{% else %}none{% endfor %}"), "none");
  EXPECT_EQ(render("{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k ~ v }}{% endfor %}"), "a1b2");
  EXPECT_EQ(render("{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}"),
            "21");
  EXPECT_EQ(render("{% set n = namespace(x=1) %}{% for i in [1, 2] %}{% set n.x = n.x + i %}"
                   "{% endfor %}{{ n.x }}"),
            "4");
  EXPECT_EQ(render("{% if 0 %}a{% elif x %}b{% elif 'c' %}c{% else %}d{% endif %}"), "c");
  EXPECT_EQ(render("{% if false %}{{ f | unheard_of }}{% endif %}ok"), "ok");
}

TEST(Jinja, StringsAreStrippedAsInPython) {
  const Dict variables = {{"s", "\u00a0\u2003 x y\x1f\u3000\n"}};
  EXPECT_EQ(render("[{{ s | trim }}][{{ s.strip() }}]", variables), "[x y][x y]");
  EXPECT_EQ(render("[{{ s.lstrip() | length }}]", variables), "[6]");
  EXPECT_EQ(render("{{ 'xxaxx'.strip('x') }}{{ '--a'.lstrip('-') }}{{ 'a,b'.split(',')[1] }}"),
            "aab");
}

TEST(Jinja, TheTemplatesOwnRefusals) {
  EXPECT_EQ(refusal("{{ raise_exception('roles!') }}").code(), ErrorCode::kConfig);
  EXPECT_THAT(refusal("{{ raise_exception('roles!') }}").what(), HasSubstr("roles!"));
  EXPECT_EQ(refusal("{{ x.y }}").code(), ErrorCode::kConfig);
  EXPECT_EQ(refusal("{{ 'a' + none }}").code(), ErrorCode::kConfig);
}

TEST(Jinja, WhatIsNotKnownIsRefusedWhereItIsReached) {
  for (const char* source :
       {"{{ 1 | tojson }}", "{{ now() }}", "{% macro f() %}{% endmacro %}", "{{ 'é' | upper }}",
        "{{ 1 < 2 < 3 }}", "{{ (1, 2) }}", "{% set x %}a{% endset %}", "{{ [1] }}", "{{ 1 / 2 }}"})
    EXPECT_EQ(refusal(source).code(), ErrorCode::kUnsupported) << source;
}

TEST(Jinja, BrokenSyntaxNamesItsLine) {
  for (const char* source :
       {"a\n{{ 1", "a\n{% if 1 %}", "a\n{{ 'x }}", "a\n{# x", "a\n{{ }}", "a\n{% endif %}",
        "a\n{{ 1 2 }}", "a\n{{ [1 }}", "a\n{{ ; }}", "a\n{{ '\\xZZ' }}", "a\n{% for %}"}) {
    EXPECT_EQ(refusal(source).code(), ErrorCode::kFormat) << source;
    EXPECT_THAT(refusal(source).what(), HasSubstr("line 2")) << source;
  }
}

TEST(Jinja, HostileTemplatesEndInAnError) {
  std::string nested, chain = "{{ 1", ladder = "{{ x";
  for (int i = 0; i < 100000; ++i) {
    nested += "{{ (";
    chain += " + 1";
    ladder += ".y";
  }
  const std::string parentheses = "{{ " + std::string(100000, '(') + " }}";
  const std::string negations = "{{ " + std::string(100000, '-') + "1 }}";
  for (const std::string& source : {nested, chain + " }}", ladder + " }}", parentheses, negations})
    EXPECT_NO_FATAL_FAILURE(refusal(source));
  EXPECT_EQ(refusal("{% set n = namespace(s='x') %}{% for a in range(64) %}"
                    "{% set n.s = n.s + n.s %}{% endfor %}")
                .code(),
            ErrorCode::kUnsupported);
  std::string loops, ends;
  for (int i = 0; i < 8; ++i) {
    loops += "{% for a in range(100000) %}";
    ends += "{% endfor %}";
  }
  EXPECT_EQ(refusal(loops + ends).code(), ErrorCode::kUnsupported);
  for (
      const char* source :
      {"{% set n = namespace() %}{% set n.x = n %}", "{% set n = namespace() %}{% set x = [n] %}",
       "{% set n = namespace() %}{% set m = namespace(n=n) %}",
       "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x] %}{% endfor %}",
       "{% set n = namespace(x=1) %}{% for i in range(30) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
       "{% set x = range(100000) | join(range(99999) | join) %}",
       "{% set n = namespace(x='a') %}{% for i in range(26) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
       "{{ n.x.split('a') | length }}",
       "{% set x = range(99999) %}{% for i in x %}{% if x == [i] or i in x %}{% endif %}{% endfor "
       "%}",
       "{{ 1000000000000 * 1000000000000 }}"})
    EXPECT_EQ(refusal(source).code(), ErrorCode::kUnsupported) << source;
  EXPECT_EQ(refusal("{{ 1 % 0 }}").code(), ErrorCode::kConfig);
}

}  // namespace
}  // namespace surprisal::jinja
