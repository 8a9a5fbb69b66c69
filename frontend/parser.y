/* The grammar of .tfx. Conflict-free (LALR(1), %expect 0); the actions build the syntax tree and nothing else. */
%require "3.8"
%expect 0
%define api.pure full
%define api.prefix {fe_yy}
%define api.token.prefix {TOK_}
%define api.location.type {span}
%define parse.error custom
%define parse.lac full
%locations
%param {parse_ctx *ctx}

%code requires {
#include "frontend/parse.h"
}
%code {
#include <stdarg.h>
#include <stdlib.h>

/* Bounds the parser's stack; deeper nesting is reported, not parsed. */
#define YYMAXDEPTH 6000
#define YYLLOC_DEFAULT(cur, rhs, n)                                                                                    \
    do {                                                                                                               \
        if (n) (cur) = (span){YYRHSLOC(rhs, 1).begin, YYRHSLOC(rhs, n).end};                                           \
        else (cur) = (span){YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end};                                               \
    } while (0)

int fe_scan_lex(FE_YYSTYPE *val, span *at, void *scanner);
static int fe_yylex(FE_YYSTYPE *val, span *at, parse_ctx *ctx);
static void fe_yyerror(const span *at, parse_ctx *ctx, const char *message);
static ast_expr *checked(parse_ctx *ctx, ast_expr *e);
static ast_stmt *checked_stmt(parse_ctx *ctx, ast_stmt *s);
static ast_expr *leaf(parse_ctx *ctx, ast_expr_kind kind, ast_name name);
static ast_decl *new_decl(parse_ctx *ctx, ast_decl_kind kind, ast_name name, span at);
static ast_stmt *let_stmt(parse_ctx *ctx, ast_stmt_kind kind, span at, ast_names names, ast_expr *value);
static ast_names one_name(parse_ctx *ctx, ast_name name);
static ast_body one_stmt_body(parse_ctx *ctx, ast_stmt *s);
#define PUSH(list, item) vec_push(ctx->arena, &(list), (item))
/* Parsing goes on behind a mistake as if nothing had been wrong, so that the next one is reported, too: the wrong token is dropped,
 * unless a statement begins with it. Two mistakes at one token are one, and bison then drops the token itself. */
#define RESUME                         \
    do {                               \
        if (ctx->skipping) yyclearin;  \
        if (ctx->fresh) yyerrok;       \
    } while (0)
}

%union {
    ast_name name;
    int64_t integer;
    double real;
    ast_expr *expr;
    ast_exprs exprs;
    ast_arg arg;
    ast_args args;
    ast_index index;
    ast_indices indices;
    ast_axes axes;
    ast_carries carries;
    ast_names names;
    ast_dim dim;
    ast_dims dims;
    ast_type type;
    ast_formal formal;
    ast_formals formals;
    ast_result result;
    ast_results results;
    ast_sig *sig;
    ast_stmt *stmt;
    ast_body body;
    ast_decl *decl;
    ast_validity validity;
    ast_validities validities;
    ast_weight_rule weight_rule;
    ast_weights *weights;
    ast_rule *rule;
    ast_rules rules;
}

%token END 0 "the end of the file"
%token IMPORT "import" AS "as" CONST "const" BLOCK "block" WHERE "where" MODEL "model" WEIGHTS "weights" MAP "map"
       IGNORE "ignore" ENTRY "entry" LET "let" POINT "point" PARAM "param" STATE "state" FOR "for" IN "in" SCOPE "scope"
       IF "if" ELSE "else" REQUIRE "require" RETURN "return" YIELD "yield" SCAN "scan" CARRY "carry" NOT "not" AND "and"
       OR "or" TRUE "true" FALSE "false" OPTIMIZE "optimize" AFTER "after" BEFORE "before" EXPECT "expect"
%token <name> VALID "valid" BY "by"
%token ELLIPSIS "..." RANGE ".." ARROW "->" EQ "==" NE "!=" LE "<=" GE ">=" LT "<" GT ">" ASSIGN "=" PLUS "+" MINUS "-"
       STAR "*" SLASH "/" PERCENT "%" LPAREN "(" RPAREN ")" LBRACKET "[" RBRACKET "]" LBRACE "{" RBRACE "}" COMMA ","
       COLON ":" DOT "." AT "@" BAR "|"
%token <name> ID "a name" STRING "a string"
%token <integer> INT "an integer"
%token <real> FLOAT "a number"

%left OR
%left AND
%precedence NOT
%nonassoc EQ NE LT LE GT GE
%left PLUS MINUS
%left STAR SLASH PERCENT
%precedence NEGATE

%type <decl> decl import const block model optimize entry
%type <sig> sig
%type <exprs> where exprs
%type <formal> formal
%type <formals> formals
%type <result> result
%type <results> results result_list
%type <type> type
%type <dim> dim
%type <dims> dims
%type <validity> validity
%type <validities> valid validities
%type <weights> weights weight_rules
%type <weight_rule> weight_rule
%type <names> names strings
%type <stmt> stmt item if
%type <body> body stmts items
%type <expr> expr postfix call primary let_value scan
%type <args> args arg_list
%type <arg> arg
%type <indices> indices
%type <index> index
%type <axes> axes
%type <carries> carries
%type <rules> rules
%type <rule> rule
%type <args> rule_args
%type <name> relation at_path

%%

file: decls;

decls: %empty
     | decls decl   { if ($decl) PUSH(ctx->result->decls, $decl); }
     | decls error { RESUME; };

decl: import | const | block | model | optimize;

import: IMPORT STRING[path] AS ID {
            $$ = new_decl(ctx, DECL_IMPORT, $ID, @$);
            $$->import_path = $path;
        };

const: CONST ID ASSIGN expr {
            $$ = new_decl(ctx, DECL_CONST, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->value = $expr;
        };

block: BLOCK ID sig where body {
            $$ = new_decl(ctx, DECL_BLOCK, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->code.sig = *$sig;
            $$->code.where = $where;
            $$->code.body = $body;
        };

entry: ENTRY ID sig where valid body {
            $$ = new_decl(ctx, DECL_ENTRY, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->code.sig = *$sig;
            $$->code.where = $where;
            $$->code.valid = $valid;
            $$->code.body = $body;
        };

model: MODEL ID where weights LBRACE items RBRACE {
            $$ = new_decl(ctx, DECL_MODEL, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->code.where = $where;
            $$->code.weights = *$weights;
            $$->code.body = $items;
            $$->code.body.at = (span){@LBRACE.begin, @RBRACE.end};
            ast_body_seal(&$$->code.body);
        }
     | MODEL ID sig where valid weights LBRACE items RBRACE {
            $$ = new_decl(ctx, DECL_MODEL, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->code.sig = *$sig;
            $$->code.where = $where;
            $$->code.valid = $valid;
            $$->code.weights = *$weights;
            $$->code.body = $items;
            $$->code.body.at = (span){@LBRACE.begin, @RBRACE.end};
            ast_body_seal(&$$->code.body);
        };

sig: LPAREN RPAREN ARROW results {
            $$ = ARENA_NEW(ctx->arena, ast_sig);
            *$$ = (ast_sig){.present = true, .results = $results, .at = @$};
        }
   | LPAREN formals RPAREN ARROW results {
            if ($formals.len > AST_MAX_FORMALS)
                diag_code(parse_error(ctx, @formals, "more than %d arguments", AST_MAX_FORMALS), "limit");
            $$ = ARENA_NEW(ctx->arena, ast_sig);
            *$$ = (ast_sig){.present = true, .formals = $formals, .results = $results, .at = @$};
        };

formals: formal                 { $$ = (ast_formals){0}; PUSH($$, $formal); }
       | formals[list] COMMA formal   { $$ = $list; PUSH($$, $formal); };

formal: ID COLON type              { $$ = (ast_formal){$ID, $type, NULL, doc_before(ctx, @$.begin), @$}; }
      | ID COLON type ASSIGN expr  { $$ = (ast_formal){$ID, $type, $expr, doc_before(ctx, @$.begin), @$}; };

results: result                         { $$ = (ast_results){0}; PUSH($$, $result); }
       | LPAREN result_list RPAREN      { $$ = $result_list; };

result_list: result                         { $$ = (ast_results){0}; PUSH($$, $result); }
           | result_list[list] COMMA result { $$ = $list; PUSH($$, $result); };

result: type            { $$ = (ast_result){{0}, $type, doc_before(ctx, @$.begin), @$}; }
      | ID COLON type   { $$ = (ast_result){$ID, $type, doc_before(ctx, @$.begin), @$}; };

type: ID                        { $$ = (ast_type){.name = $ID, .at = @$}; }
    | ID LBRACKET dims RBRACKET { $$ = (ast_type){.name = $ID, .shaped = true, .dims = $dims, .at = @$}; };

dims: dim                  { $$ = (ast_dims){0}; PUSH($$, $dim); }
    | dims[list] COMMA dim { $$ = $list; PUSH($$, $dim); };

dim: expr     { $$ = (ast_dim){$expr, @$}; }
   | ELLIPSIS { $$ = (ast_dim){NULL, @$}; };

where: %empty       { $$ = (ast_exprs){0}; }
     | WHERE exprs  { $$ = $exprs; };

exprs: expr                     { $$ = (ast_exprs){0}; PUSH($$, $expr); }
     | exprs[list] COMMA expr   { $$ = $list; PUSH($$, $expr); };

valid: %empty            { $$ = (ast_validities){0}; }
     | VALID validities  { $$ = $validities; };

validities: validity                        { $$ = (ast_validities){0}; PUSH($$, $validity); }
          | validities[list] COMMA validity { $$ = $list; PUSH($$, $validity); };

validity: ID BY expr { $$ = (ast_validity){$ID, $expr, @$}; };

weights: %empty {
            $$ = ARENA_NEW(ctx->arena, ast_weights);
        }
       | WEIGHTS STRING weight_rules {
            $$ = $weight_rules;
            $$->present = true;
            $$->file = $STRING;
        };

weight_rules: %empty { $$ = ARENA_NEW(ctx->arena, ast_weights); }
            | weight_rules[list] weight_rule { $$ = $list; PUSH($$->rules, $weight_rule); };

weight_rule: MAP STRING ASSIGN expr { $$ = (ast_weight_rule){.is_map = true, .pattern = $STRING, .value = $expr, .at = @$}; }
           | IGNORE strings         { $$ = (ast_weight_rule){.ignored = $strings, .at = @$}; };

strings: STRING                     { $$ = one_name(ctx, $STRING); }
       | strings[list] COMMA STRING { $$ = $list; PUSH($$, $STRING); };

items: %empty            { $$ = (ast_body){0}; }
     | items[list] item  { $$ = $list; PUSH($$.stmts, $item); }
     | items[list] error { $$ = $list; RESUME; };

item: stmt
    | block {
            $$ = ast_stmt_new(ctx->arena, ST_BLOCK, @$);
            $$->decl = $block;
            $$ = checked_stmt(ctx, $$);
        }
    | entry {
            $$ = ast_stmt_new(ctx->arena, ST_ENTRY, @$);
            $$->decl = $entry;
            $$ = checked_stmt(ctx, $$);
        };

body: LBRACE stmts RBRACE { $$ = $stmts; $$.at = @$; ast_body_seal(&$$); };

stmts: %empty            { $$ = (ast_body){0}; }
     | stmts[list] stmt  { $$ = $list; PUSH($$.stmts, $stmt); }
     | stmts[list] error { $$ = $list; RESUME; };

names: ID                     { $$ = one_name(ctx, $ID); }
     | names[list] COMMA ID   { $$ = $list; PUSH($$, $ID); };

stmt: LET names ASSIGN let_value    { $$ = let_stmt(ctx, ST_LET, @$, $names, $let_value); }
    | POINT ID ASSIGN expr {
            $$ = let_stmt(ctx, ST_POINT, @$, one_name(ctx, $ID), $expr);
            $$->doc = doc_before(ctx, @$.begin);
        }
    | CONST ID ASSIGN expr {
            $$ = let_stmt(ctx, ST_CONST, @$, one_name(ctx, $ID), $expr);
            $$->doc = doc_before(ctx, @$.begin);
        }
    | ID ASSIGN expr {
            $$ = ast_stmt_new(ctx->arena, ST_ASSIGN, @$);
            $$->assign.name = $ID;
            $$->assign.value = $expr;
            $$ = checked_stmt(ctx, $$);
        }
    | ID LBRACKET indices RBRACKET ASSIGN expr {
            $$ = ast_stmt_new(ctx->arena, ST_ASSIGN, @$);
            $$->assign.name = $ID;
            $$->assign.indexed = true;
            $$->assign.indices = $indices;
            $$->assign.value = $expr;
            $$ = checked_stmt(ctx, $$);
        }
    | PARAM ID COLON type at_path {
            $$ = ast_stmt_new(ctx->arena, ST_PARAM, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->param.name = $ID;
            $$->param.type = $type;
            $$->param.path = $at_path;
        }
    | STATE ID COLON type at_path {
            $$ = ast_stmt_new(ctx->arena, ST_STATE, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->param.name = $ID;
            $$->param.type = $type;
            $$->param.path = $at_path;
        }
    | FOR ID IN expr[begin] RANGE expr[end] body {
            $$ = ast_stmt_new(ctx->arena, ST_FOR, (span){@FOR.begin, @end.end});
            $$->loop.var = $ID;
            $$->loop.begin = $begin;
            $$->loop.end = $end;
            $$->loop.body = $body;
            $$ = checked_stmt(ctx, $$);
        }
    | FOR ID IN expr body { /* the '..' is missing: sema says what to write */
            $$ = ast_stmt_new(ctx->arena, ST_FOR, (span){@FOR.begin, @expr.end});
            $$->loop.var = $ID;
            $$->loop.begin = $expr;
            $$->loop.body = $body;
            $$ = checked_stmt(ctx, $$);
        }
    | SCOPE STRING body {
            $$ = ast_stmt_new(ctx->arena, ST_SCOPE, (span){@SCOPE.begin, @STRING.end});
            $$->scope.path = $STRING;
            $$->scope.body = $body;
            $$ = checked_stmt(ctx, $$);
        }
    | if
    | REQUIRE exprs {
            $$ = ast_stmt_new(ctx->arena, ST_REQUIRE, @$);
            $$->values = $exprs;
            $$ = checked_stmt(ctx, $$);
        }
    | RETURN exprs {
            $$ = ast_stmt_new(ctx->arena, ST_RETURN, @$);
            $$->values = $exprs;
            $$ = checked_stmt(ctx, $$);
        }
    | YIELD exprs {
            $$ = ast_stmt_new(ctx->arena, ST_YIELD, @$);
            $$->values = $exprs;
            $$ = checked_stmt(ctx, $$);
        };

if: IF expr body[then] {
            $$ = ast_stmt_new(ctx->arena, ST_IF, (span){@IF.begin, @expr.end});
            $$->branch.cond = $expr;
            $$->branch.then = $then;
            $$ = checked_stmt(ctx, $$);
        }
  | IF expr body[then] ELSE body[otherwise] {
            $$ = ast_stmt_new(ctx->arena, ST_IF, (span){@IF.begin, @expr.end});
            $$->branch.cond = $expr;
            $$->branch.then = $then;
            $$->branch.otherwise = $otherwise;
            $$->branch.has_else = true;
            $$ = checked_stmt(ctx, $$);
        }
  | IF expr body[then] ELSE if[chained] {
            $$ = ast_stmt_new(ctx->arena, ST_IF, (span){@IF.begin, @expr.end});
            $$->branch.cond = $expr;
            $$->branch.then = $then;
            $$->branch.otherwise = one_stmt_body(ctx, $chained);
            $$->branch.has_else = true;
            $$ = checked_stmt(ctx, $$);
        };

at_path: %empty     { $$ = (ast_name){0}; }
       | AT STRING  { $$ = $STRING; };

let_value: expr | scan;

scan: SCAN ID COLON expr CARRY carries body {
            $$ = ast_expr_new(ctx->arena, EX_SCAN, (span){@SCAN.begin, @carries.end});
            $$->scan.var = $ID;
            $$->scan.extent = $expr;
            $$->scan.carries = $carries;
            $$->scan.body = $body;
            $$ = checked(ctx, $$);
        };

carries: ID ASSIGN expr {
            $$ = (ast_carries){0};
            PUSH($$, ((ast_carry){$ID, $expr}));
        }
       | carries[list] COMMA ID ASSIGN expr {
            $$ = $list;
            PUSH($$, ((ast_carry){$ID, $expr}));
        };

expr: postfix
    | NOT expr[x]                   { $$ = checked(ctx, ast_unary(ctx->arena, AST_NOT, @NOT, $x)); }
    | MINUS expr[x] %prec NEGATE    { $$ = checked(ctx, ast_unary(ctx->arena, AST_NEG, @MINUS, $x)); }
    | expr[x] OR expr[y]            { $$ = checked(ctx, ast_binary(ctx->arena, AST_OR, @2, $x, $y)); }
    | expr[x] AND expr[y]           { $$ = checked(ctx, ast_binary(ctx->arena, AST_AND, @2, $x, $y)); }
    | expr[x] EQ expr[y]            { $$ = checked(ctx, ast_binary(ctx->arena, AST_EQ, @2, $x, $y)); }
    | expr[x] NE expr[y]            { $$ = checked(ctx, ast_binary(ctx->arena, AST_NE, @2, $x, $y)); }
    | expr[x] LT expr[y]            { $$ = checked(ctx, ast_binary(ctx->arena, AST_LT, @2, $x, $y)); }
    | expr[x] LE expr[y]            { $$ = checked(ctx, ast_binary(ctx->arena, AST_LE, @2, $x, $y)); }
    | expr[x] GT expr[y]            { $$ = checked(ctx, ast_binary(ctx->arena, AST_GT, @2, $x, $y)); }
    | expr[x] GE expr[y]            { $$ = checked(ctx, ast_binary(ctx->arena, AST_GE, @2, $x, $y)); }
    | expr[x] PLUS expr[y]          { $$ = checked(ctx, ast_binary(ctx->arena, AST_ADD, @2, $x, $y)); }
    | expr[x] MINUS expr[y]         { $$ = checked(ctx, ast_binary(ctx->arena, AST_SUB, @2, $x, $y)); }
    | expr[x] STAR expr[y]          { $$ = checked(ctx, ast_binary(ctx->arena, AST_MUL, @2, $x, $y)); }
    | expr[x] SLASH expr[y]         { $$ = checked(ctx, ast_binary(ctx->arena, AST_DIV, @2, $x, $y)); }
    | expr[x] PERCENT expr[y]       { $$ = checked(ctx, ast_binary(ctx->arena, AST_MOD, @2, $x, $y)); };

postfix: primary
       | postfix[base] DOT ID {
            $$ = ast_expr_new(ctx->arena, EX_FIELD, @$);
            $$->field.base = $base;
            $$->field.name = $ID;
            $$ = checked(ctx, $$);
        }
       | postfix[base] LBRACKET indices RBRACKET {
            $$ = ast_expr_new(ctx->arena, EX_INDEX, @$);
            $$->index.base = $base;
            $$->index.indices = $indices;
            $$ = checked(ctx, $$);
        }
       | call
       | call[made] AT STRING {
            $$ = $made;
            $$->call.path = $STRING;
            $$->at.end = @STRING.end;
        };

call: postfix[callee] LPAREN args RPAREN {
            $$ = ast_expr_new(ctx->arena, EX_CALL, @$);
            $$->call.callee = $callee;
            $$->call.args = $args;
            $$ = checked(ctx, $$);
        };

args: %empty   { $$ = (ast_args){0}; }
    | arg_list;

arg_list: arg                       { $$ = (ast_args){0}; PUSH($$, $arg); }
        | arg_list[list] COMMA arg  { $$ = $list; PUSH($$, $arg); };

arg: expr           { $$ = (ast_arg){{0}, $expr, @$}; }
   | ID ASSIGN expr { $$ = (ast_arg){$ID, $expr, @$}; }
   | BY ASSIGN expr { $$ = (ast_arg){$BY, $expr, @$}; };

indices: index                      { $$ = (ast_indices){0}; PUSH($$, $index); }
       | indices[list] COMMA index  { $$ = $list; PUSH($$, $index); };

index: expr                        { $$ = (ast_index){INDEX_POINT, $expr, NULL, @$}; }
     | expr[begin] RANGE expr[end] { $$ = (ast_index){INDEX_RANGE, $begin, $end, @$}; }
     | COLON                       { $$ = (ast_index){INDEX_ALL, NULL, NULL, @$}; }
     | ELLIPSIS                    { $$ = (ast_index){INDEX_ELLIPSIS, NULL, NULL, @$}; };

primary: ID                     { $$ = leaf(ctx, EX_NAME, $ID); }
       | VALID                  { $$ = leaf(ctx, EX_NAME, $VALID); }
       | STRING                 { $$ = leaf(ctx, EX_STRING, $STRING); }
       | INT                    { $$ = ast_expr_new(ctx->arena, EX_INT, @$); $$->integer = $INT; }
       | FLOAT                  { $$ = ast_expr_new(ctx->arena, EX_FLOAT, @$); $$->real = $FLOAT; }
       | TRUE                   { $$ = ast_expr_new(ctx->arena, EX_BOOL, @$); $$->boolean = true; }
       | FALSE                  { $$ = ast_expr_new(ctx->arena, EX_BOOL, @$); }
       | LPAREN expr RPAREN     { $$ = $expr; }
       | LBRACKET exprs RBRACKET {
            $$ = ast_expr_new(ctx->arena, EX_LIST, @$);
            $$->list = $exprs;
            $$ = checked(ctx, $$);
        }
       | LBRACKET axes BAR expr RBRACKET {
            $$ = ast_expr_new(ctx->arena, EX_BUILDER, @$);
            $$->builder.axes = $axes;
            $$->builder.value = $expr;
            $$ = checked(ctx, $$);
        };

axes: ID COLON expr {
            $$ = (ast_axes){0};
            PUSH($$, ((ast_axis){$ID, $expr}));
        }
    | axes[list] COMMA ID COLON expr {
            $$ = $list;
            PUSH($$, ((ast_axis){$ID, $expr}));
        };

optimize: OPTIMIZE ID LBRACE rules RBRACE {
            $$ = new_decl(ctx, DECL_OPTIMIZE, $ID, (span){@OPTIMIZE.begin, @ID.end});
            $$->rules = $rules;
        };

rules: %empty            { $$ = (ast_rules){0}; }
     | rules[list] rule  { $$ = $list; PUSH($$, *$rule); }
     | rules[list] rule EXPECT INT {
            $rule->has_expect = true;
            $rule->expect = $INT;
            $rule->at.end = @INT.end;
            $$ = $list;
            PUSH($$, *$rule);
        }
     | rules[list] error { $$ = $list; RESUME; };

rule: ID[verb] relation STRING rule_args {
            $$ = ARENA_NEW(ctx->arena, ast_rule);
            *$$ = (ast_rule){.verb = $verb, .relation = $relation, .place = $STRING, .args = $rule_args, .at = @$};
        }
    | ID[verb] ID[subject] relation STRING rule_args {
            $$ = ARENA_NEW(ctx->arena, ast_rule);
            *$$ = (ast_rule){.verb = $verb, .subject = $subject, .relation = $relation, .place = $STRING,
                             .args = $rule_args, .at = @$};
        };

relation: IN     { $$ = (ast_name){"in", @$}; }
        | AFTER  { $$ = (ast_name){"after", @$}; }
        | BEFORE { $$ = (ast_name){"before", @$}; };

rule_args: %empty               { $$ = (ast_args){0}; }
         | LPAREN args RPAREN   { $$ = $args; };

%%

static ast_expr *too_deep(parse_ctx *ctx, span at)
{
    if (!ctx->too_deep) {
        diag *g = parse_error(ctx, at, "nested too deeply");
        diag_code(g, "limit");
        diag_note(g, "the limit is %d levels", AST_MAX_DEPTH);
    }
    ctx->too_deep = true; /* said once: what nests goes on to be too deep */
    return ast_expr_new(ctx->arena, EX_INT, at);
}

static ast_expr *checked(parse_ctx *ctx, ast_expr *e)
{
    ast_expr_seal(e);
    return e->depth > AST_MAX_DEPTH ? too_deep(ctx, e->at) : e;
}

static ast_stmt *checked_stmt(parse_ctx *ctx, ast_stmt *s)
{
    ast_stmt_seal(s);
    if (s->depth <= AST_MAX_DEPTH) return s;
    too_deep(ctx, s->at);
    return ast_stmt_new(ctx->arena, ST_REQUIRE, s->at); /* requires nothing */
}

static ast_expr *leaf(parse_ctx *ctx, ast_expr_kind kind, ast_name name)
{
    ast_expr *e = ast_expr_new(ctx->arena, kind, name.at);
    e->name = name;
    return e;
}

static ast_decl *new_decl(parse_ctx *ctx, ast_decl_kind kind, ast_name name, span at)
{
    ast_decl *d = ARENA_NEW(ctx->arena, ast_decl);
    d->kind = kind;
    d->name = name;
    d->at = at;
    return d;
}

static ast_stmt *let_stmt(parse_ctx *ctx, ast_stmt_kind kind, span at, ast_names names, ast_expr *value)
{
    ast_stmt *s = ast_stmt_new(ctx->arena, kind, at);
    s->let.names = names;
    s->let.value = value;
    return checked_stmt(ctx, s);
}

static ast_names one_name(parse_ctx *ctx, ast_name name)
{
    ast_names names = {0};
    vec_push(ctx->arena, &names, name);
    return names;
}

static ast_body one_stmt_body(parse_ctx *ctx, ast_stmt *s)
{
    ast_body b = {.at = s->at};
    vec_push(ctx->arena, &b.stmts, s);
    ast_body_seal(&b);
    return b;
}

diag *parse_error(parse_ctx *ctx, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(ctx->arena, fmt, ap);
    va_end(ap);
    ctx->result->failed = true;
    diag *g = diag_error(ctx->session->diags, at, "%s", message);
    diag_code(g, "syntax");
    return g;
}

/* Bison calls this only when its stack is full: syntax errors go through yyreport_syntax_error. */
static void fe_yyerror(const span *at, parse_ctx *ctx, const char *message)
{
    (void)message;
    too_deep(ctx, *at);
}

/* ---- tokens on their way to the parser ---- */

static void open_bracket(parse_ctx *ctx)
{
    const parse_token *t = &ctx->got;
    parse_bracket b = {t->token, t->at, parse_ends_operand(ctx->last.token), ctx->indent, ctx->head};
    vec_push(ctx->arena, &ctx->open, b);
    ctx->braces += b.token == TOK_LBRACE;
}

/* The innermost bracket of that kind and those that were left open inside of it are no longer open. */
static void close_bracket(parse_ctx *ctx, int token)
{
    uint32_t i = ctx->open.len;
    while (i > 0 && ctx->open.data[i - 1].token != token && ctx->open.data[i - 1].token != TOK_LBRACE) i--;
    if (!i || ctx->open.data[i - 1].token != token) return;
    const parse_bracket *b = &ctx->open.data[i - 1];
    if (token == TOK_LBRACE && ctx->got.first && !ctx->misindented.at.begin &&
        ctx->indent < b->indent) {
        ctx->misindented = *b;
        ctx->misindented_end = ctx->got.at;
    }
    ctx->popped = token == TOK_LBRACKET && b->follows_operand ? -1 : token;
    ctx->open.len = i - 1; /* no brace but the one that is closed: the search ends at the first */
    ctx->braces -= token == TOK_LBRACE;
}

/* What surrounds the token, for messages. */
static void follow(parse_ctx *ctx)
{
    int token = ctx->got.token;
    switch (token) {
    case TOK_LPAREN: case TOK_LBRACKET: case TOK_LBRACE: open_bracket(ctx); break;
    case TOK_RPAREN: close_bracket(ctx, TOK_LPAREN); break;
    case TOK_RBRACKET: close_bracket(ctx, TOK_LBRACKET); break;
    case TOK_RBRACE: close_bracket(ctx, TOK_LBRACE); break;
    case TOK_WHERE: case TOK_VALID: case TOK_WEIGHTS: break; /* after the parser has seen it */
    default: break;
    }
    if (parse_begins_declaration(token) || token == TOK_ENTRY) ctx->where_seen = ctx->valid_seen = ctx->weights_seen = false;
    if (parse_begins_declaration(token) || parse_begins_statement(token) || token == TOK_ENTRY) ctx->head = token;
    if (token == TOK_ID && ctx->got.first && ctx->open.len && ctx->open.data[ctx->open.len - 1].token == TOK_LBRACE)
        ctx->head = token;
    if (ctx->last.token == TOK_WHERE) ctx->where_seen = true, ctx->head = TOK_WHERE;
    if (ctx->last.token == TOK_VALID && ctx->head != TOK_BLOCK) ctx->valid_seen = true, ctx->head = TOK_VALID;
    if (ctx->last.token == TOK_WEIGHTS) ctx->weights_seen = true, ctx->head = TOK_WEIGHTS;
}

static int scan_token(FE_YYSTYPE *val, span *at, parse_ctx *ctx)
{
    ctx->divided = (lone_comment){0};
    int token = fe_scan_lex(val, at, ctx->scanner);
    if (token == TOK_END) *at = (span){ctx->file->base + ctx->file->size, ctx->file->base + ctx->file->size};
    ctx->last = ctx->got;
    ctx->got = (parse_token){token, *at, ctx->first_on_line || token == TOK_END};
    ctx->line_start = false;
    if (ctx->got.first) {
        uint32_t begin = at->begin - ctx->file->base;
        ctx->indent = 0;
        while (ctx->indent < begin && ctx->file->text[begin - ctx->indent - 1] != '\n') ctx->indent++;
    }
    follow(ctx);
    doc_token(ctx, token == TOK_END ? (span){0} : *at, token == TOK_LPAREN || token == TOK_LBRACE);
    if (ctx->pieces) PUSH(*ctx->pieces, ((parse_piece){token, *at}));
    return token;
}

/* Where parsing can go on after a mistake: the start of a statement or declaration on a line of its own, the end of the body, the
 * end. Outside of all braces that is a declaration, or what stands at the margin as one does. */
static bool resumes(const parse_ctx *ctx)
{
    const parse_token *t = &ctx->got;
    uint32_t open = ctx->braces;
    if (t->token == TOK_END) return true;
    if (t->token == TOK_RBRACE) return open < ctx->base;
    if (!t->first || open != ctx->base) return false;
    if (parse_begins_declaration(t->token)) return true;
    bool in_brackets = ctx->open.len && ctx->open.data[ctx->open.len - 1].token != TOK_LBRACE;
    if (ctx->base == 0) return ctx->indent == 0 && !in_brackets && (t->token == TOK_ID || parse_begins_statement(t->token));
    return parse_begins_statement(t->token) || t->token == TOK_ENTRY || (t->token == TOK_ID && !in_brackets);
}

/* Brackets that a mistake left open are forgotten, up to the innermost brace. */
static void forget_brackets(parse_ctx *ctx)
{
    while (ctx->open.len && ctx->open.data[ctx->open.len - 1].token != TOK_LBRACE) ctx->open.len--;
}

/* How many open brackets should have been closed before this token. */
static uint32_t left_open(const parse_ctx *ctx)
{
    int token = ctx->got.token;
    if (!ctx->braces) return 0;
    if (token == TOK_END || token == TOK_IMPORT || token == TOK_MODEL || token == TOK_OPTIMIZE) return ctx->open.len;
    if (!ctx->got.first || (token != TOK_BLOCK && token != TOK_ENTRY)) return 0;
    if (ctx->open.data[0].head != TOK_MODEL && ctx->open.data[0].head != TOK_WHERE && ctx->open.data[0].head != TOK_WEIGHTS &&
        ctx->open.data[0].head != TOK_VALID)
        return ctx->open.len;
    bool in_model = ctx->open.data[0].token == TOK_LBRACE && ctx->open.len == 1;
    return in_model ? 0 : ctx->open.len - 1;
}

static void report_left_open(parse_ctx *ctx)
{
    const parse_bracket *b = &ctx->open.data[ctx->open.len - 1];
    diags *d = ctx->session->diags;
    if (ctx->misindented.at.begin) {
        diag *g = parse_error(ctx, ctx->misindented.at, "this '{' is not closed");
        diag_note(g, "the '}' at %s closes it, but stands further left than its line", diag_place(d, ctx->misindented_end));
        return;
    }
    diag *g = parse_error(ctx, b->at, "this '%s' is not closed", b->token == TOK_LBRACE ? "{" : b->token == TOK_LPAREN ? "(" : "[");
    if (ctx->got.token != TOK_END) diag_note(g, "a declaration begins at %s", diag_place(d, ctx->got.at));
}

static int fe_yylex(FE_YYSTYPE *val, span *at, parse_ctx *ctx)
{
    static const int closer[] = {[TOK_LPAREN - TOK_LPAREN] = TOK_RPAREN,
                                 [TOK_LBRACKET - TOK_LPAREN] = TOK_RBRACKET,
                                 [TOK_LBRACE - TOK_LPAREN] = TOK_RBRACE};
    if (!ctx->closing) {
        ctx->quiet = false;
        scan_token(val, at, ctx);
        if (ctx->skipping)
            while (!resumes(ctx)) scan_token(val, at, ctx);
        if (ctx->skipping) forget_brackets(ctx);
        ctx->skipping = false;
        uint32_t n = left_open(ctx);
        if (!n) return ctx->got.token;
        report_left_open(ctx);
        ctx->quiet = true;
        ctx->closing = n + 1;
    }
    *at = ctx->got.at; /* the brackets, and at last the token itself: it is a word or the end, and needs no value */
    if (!--ctx->closing) return ctx->got.token;
    const parse_bracket b = ctx->open.data[--ctx->open.len];
    ctx->braces -= b.token == TOK_LBRACE;
    return closer[b.token - TOK_LPAREN];
}

#define EXPECTED_MAX YYNTOKENS

static bool contains(const yysymbol_kind_t *set, int n, yysymbol_kind_t k)
{
    for (int i = 0; i < n; i++)
        if (set[i] == k) return true;
    return false;
}

static const char *quoted(parse_ctx *ctx, yysymbol_kind_t k)
{
    switch (k) {
    case YYSYMBOL_YYEOF: case YYSYMBOL_ID: case YYSYMBOL_STRING: case YYSYMBOL_INT: case YYSYMBOL_FLOAT:
        return yysymbol_name(k);
    default: return arena_printf(ctx->arena, "'%s'", yysymbol_name(k));
    }
}

/* "a name, ',' or ')'", with the many tokens that begin an expression, a statement or continue an expression as one. */
static const char *expected_text(parse_ctx *ctx, const yysymbol_kind_t *set, int n)
{
    bool value = contains(set, n, YYSYMBOL_FLOAT), statement = contains(set, n, YYSYMBOL_LET);
    bool infix = contains(set, n, YYSYMBOL_PLUS);
    if (contains(set, n, YYSYMBOL_IMPORT)) return "a declaration: import, const, block, model or optimize";
    const char *parts[EXPECTED_MAX];
    int count = 0;
    if (statement) parts[count++] = "a statement";
    if (value) parts[count++] = "an expression";
    for (int i = 0; i < n; i++) {
        yysymbol_kind_t k = set[i];
        if (k == YYSYMBOL_YYerror) continue;
        if (value && (k == YYSYMBOL_ID || k == YYSYMBOL_STRING || k == YYSYMBOL_INT || k == YYSYMBOL_FLOAT ||
                      k == YYSYMBOL_TRUE || k == YYSYMBOL_FALSE || k == YYSYMBOL_NOT || k == YYSYMBOL_MINUS ||
                      k == YYSYMBOL_LPAREN || k == YYSYMBOL_LBRACKET || k == YYSYMBOL_VALID || k == YYSYMBOL_BY))
            continue;
        if (infix && ((k >= YYSYMBOL_EQ && k <= YYSYMBOL_GT) || (k >= YYSYMBOL_PLUS && k <= YYSYMBOL_PERCENT) ||
                       k == YYSYMBOL_AND || k == YYSYMBOL_OR || k == YYSYMBOL_DOT || k == YYSYMBOL_LPAREN ||
                       k == YYSYMBOL_LBRACKET || k == YYSYMBOL_AT))
            continue;
        if (statement && (k == YYSYMBOL_BLOCK || k == YYSYMBOL_ENTRY || k == YYSYMBOL_RBRACE)) continue;
        if (k == YYSYMBOL_ASSIGN && contains(set, n, YYSYMBOL_RPAREN)) continue; /* 'f(x = ': x is rather a value */
        if (statement && (k == YYSYMBOL_ID || (k >= YYSYMBOL_LET && k <= YYSYMBOL_YIELD && k != YYSYMBOL_IN) ||
                          k == YYSYMBOL_CONST))
            continue;
        parts[count++] = quoted(ctx, k);
    }
    if (infix) parts[count++] = "an operator";
    strbuf b = strbuf_new(ctx->arena);
    for (int i = 0; i < count; i++) {
        if (i) strbuf_adds(&b, i + 1 == count ? " or " : ", ");
        strbuf_adds(&b, parts[i]);
    }
    return b.s;
}

typedef struct {
    yysymbol_kind_t kinds[EXPECTED_MAX];
    int n;
} expected_set;

static bool is_expected(const void *set, int token)
{
    const expected_set *e = set;
    return contains(e->kinds, e->n, YYTRANSLATE(token));
}

static int yyreport_syntax_error(const yypcontext_t *where, parse_ctx *ctx)
{
    yysymbol_kind_t got = yypcontext_token(where);
    span at = *yypcontext_location(where);
    ctx->fresh = at.begin != ctx->failed_at || !ctx->failed_at;
    ctx->failed_at = at.begin;
    if (ctx->quiet || !ctx->fresh) return 0;
    bool told = ctx->told && ctx->told >= ctx->last.at.end && ctx->told <= at.begin; /* by the scanner, of characters here */
    expected_set set;
    set.n = yypcontext_expected_tokens(where, set.kinds, EXPECTED_MAX);
    if (set.n < 0) set.n = 0;

    bool literal = got == YYSYMBOL_ID || got == YYSYMBOL_STRING || got == YYSYMBOL_INT || got == YYSYMBOL_FLOAT;
    const char *what = quoted(ctx, got);
    if (literal) what = arena_printf(ctx->arena, "'%.*s'", (int)(at.end - at.begin), ctx->file->text + (at.begin - ctx->file->base));
    if (!told) parse_report_syntax(ctx, is_expected, &set, what, expected_text(ctx, set.kinds, set.n));

    ctx->base = ctx->braces - (got == YYSYMBOL_LBRACE) + (got == YYSYMBOL_RBRACE);
    bool stands_there = got == YYSYMBOL_YYEOF || parse_begins_declaration(ctx->got.token);
    ctx->skipping = !resumes(ctx) || (ctx->base == 0 && !stands_there);
    if (!ctx->skipping) forget_brackets(ctx);
    return 0;
}

/* A comment that can be read as a divisor, and whose name the file knows, was most likely meant as one. */
static void warn_of_comments(const parse_ctx *ctx)
{
    vec_foreach (lone_comment, c, &ctx->comments) {
        if (c->name && !ptrmap_has(ctx->seen, c->name)) continue;
        diag *g = diag_warning(ctx->session->diags, c->at, "'//' begins a comment: nothing is divided here");
        diag_code(g, "comment");
        diag_hint(g, "divide with '/', which must come out even, or floordiv(a, b)");
    }
}

/* UTF-8 is checked once for the whole file, so that every later stage and every message may assume it. */
static bool check_encoding(parse_ctx *ctx)
{
    const unsigned char *s = (const unsigned char *)ctx->file->text;
    for (uint32_t i = 0; i < ctx->file->size;) {
        uint32_t n = s[i] < 0x80 ? 1 : s[i] >= 0xC2 && s[i] < 0xE0 ? 2 : (s[i] & 0xF0) == 0xE0 ? 3 : s[i] >= 0xF0 && s[i] < 0xF5 ? 4 : 0;
        bool ok = n != 0 && n <= ctx->file->size - i;
        for (uint32_t k = 1; ok && k < n; k++) ok = (s[i + k] & 0xC0) == 0x80;
        if (ok && n == 3) ok = !(s[i] == 0xE0 && s[i + 1] < 0xA0) && !(s[i] == 0xED && s[i + 1] > 0x9F);
        if (ok && n == 4) ok = !(s[i] == 0xF0 && s[i + 1] < 0x90) && !(s[i] == 0xF4 && s[i + 1] > 0x8F);
        if (!ok) {
            span at = {ctx->file->base + i, ctx->file->base + i + 1};
            diag_code(parse_error(ctx, at, "byte 0x%02X is not UTF-8", s[i]), "cannot-read");
            return false;
        }
        i += n;
    }
    return true;
}

void parse_run(parse_ctx *ctx, ast_session *s, const source_file *file)
{
    ctx->session = s;
    ctx->arena = s->arena;
    ctx->file = file;
    ctx->result = ARENA_NEW(s->arena, ast_file);
    ctx->result->source = file;
    ctx->seen = ptrmap_new(s->arena);
    if (file->size > AST_MAX_FILE) {
        diag *g = parse_error(ctx, (span){file->base, file->base + 1}, "this file is too large");
        diag_code(g, "limit");
        diag_note(g, "it has %u bytes; the limit is %u", file->size, AST_MAX_FILE);
        return;
    }
    if (!check_encoding(ctx)) return;
    parse_scan_open(ctx);
    fe_yyparse(ctx);
    parse_scan_close(ctx);
    warn_of_comments(ctx);
    if (!ctx->result->failed) doc_check(ctx);
}

ast_file *ast_parse(ast_session *s, const source_file *file)
{
    parse_ctx ctx = {0};
    parse_run(&ctx, s, file);
    return ctx.result;
}
