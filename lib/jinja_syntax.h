#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/jinja_value.h"

namespace surprisal::jinja {

struct NamedArgument;

/// An expression of a template: a tree.
struct Expression {
  enum class Kind {
    kLiteral,      ///< value
    kName,         ///< text
    kList,         ///< parts
    kDict,         ///< parts: key, value, key, value...
    kMember,       ///< parts[0].text
    kIndex,        ///< parts[0][parts[1]]
    kSlice,        ///< parts[0][parts[1]:parts[2]:parts[3]]; an absent bound is a literal none
    kCall,         ///< parts[0](parts[1]..., named...)
    kFilter,       ///< parts[0] | text(parts[1]..., named...)
    kTest,         ///< parts[0] is text(parts[1]...)
    kNot,          ///< not parts[0]
    kNegate,       ///< -parts[0]
    kBinary,       ///< parts[0] text parts[1]; text is the operator
    kConditional,  ///< parts[1] if parts[0] else parts[2]
  };
  Kind kind;
  std::string text;
  Value value;
  std::vector<Expression> parts;
  std::vector<NamedArgument> named;
};

struct NamedArgument {
  std::string name;
  Expression value;
};

/// A statement, and what stands inside it.
struct Statement {
  enum class Kind {
    kText,    ///< text
    kOutput,  ///< expressions[0]
    kIf,      ///< expressions[i] guards bodies[i]; a last body without expression is `else`
    kFor,     ///< names run through expressions[0], where expressions[1] holds if there is one;
              ///< bodies[0]; bodies[1] is `else`
    kSet,     ///< names[0] = expressions[0]; of two names, the second is a namespace's member
  };
  Kind kind;
  std::string text;
  std::vector<std::string> names;
  std::vector<Expression> expressions;
  std::vector<std::vector<Statement>> bodies;
};

/// Parses the part of Jinja 2 that chat templates are written in, with the whitespace rules that
/// transformers sets (trim_blocks, lstrip_blocks).
/// @throws Error(kUnsupported) on what is outside that part, Error(kFormat) on what is no Jinja;
///         the message names the line
std::vector<Statement> parse_template(std::string_view source);

}  // namespace surprisal::jinja
