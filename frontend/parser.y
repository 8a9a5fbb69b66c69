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
%code provides {
/* token_stream.c */
int fe_yylex(FE_YYSTYPE *val, span *at, parse_ctx *ctx);
}
%code {
#include <stdlib.h>

/* Bounds the parser's stack; deeper nesting is reported, not parsed. */
#define YYMAXDEPTH 6000
#define YYLLOC_DEFAULT(cur, rhs, n)                                                                                    \
    do {                                                                                                               \
        if (n) (cur) = (span){YYRHSLOC(rhs, 1).begin, YYRHSLOC(rhs, n).end};                                           \
        else (cur) = (span){YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end};                                               \
    } while (0)

static void fe_yyerror(const span *at, parse_ctx *ctx, const char *message);
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
            $$ = parse_decl(ctx, DECL_IMPORT, $ID, @$);
            $$->import_path = $path;
        };

const: CONST ID ASSIGN expr {
            $$ = parse_decl(ctx, DECL_CONST, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->value = $expr;
        };

block: BLOCK ID sig where body {
            $$ = parse_decl(ctx, DECL_BLOCK, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->code.sig = *$sig;
            $$->code.where = $where;
            $$->code.body = $body;
        };

entry: ENTRY ID sig where valid body {
            $$ = parse_decl(ctx, DECL_ENTRY, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->code.sig = *$sig;
            $$->code.where = $where;
            $$->code.valid = $valid;
            $$->code.body = $body;
        };

model: MODEL ID where weights LBRACE items RBRACE {
            $$ = parse_decl(ctx, DECL_MODEL, $ID, @$);
            $$->doc = doc_before(ctx, @$.begin);
            $$->code.where = $where;
            $$->code.weights = *$weights;
            $$->code.body = $items;
            $$->code.body.at = (span){@LBRACE.begin, @RBRACE.end};
            ast_body_seal(&$$->code.body);
        }
     | MODEL ID sig where valid weights LBRACE items RBRACE {
            $$ = parse_decl(ctx, DECL_MODEL, $ID, @$);
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

strings: STRING                     { $$ = parse_one_name(ctx, $STRING); }
       | strings[list] COMMA STRING { $$ = $list; PUSH($$, $STRING); };

items: %empty            { $$ = (ast_body){0}; }
     | items[list] item  { $$ = $list; PUSH($$.stmts, $item); }
     | items[list] error { $$ = $list; RESUME; };

item: stmt
    | block {
            $$ = ast_stmt_new(ctx->arena, ST_BLOCK, @$);
            $$->decl = $block;
            $$ = parse_checked_stmt(ctx, $$);
        }
    | entry {
            $$ = ast_stmt_new(ctx->arena, ST_ENTRY, @$);
            $$->decl = $entry;
            $$ = parse_checked_stmt(ctx, $$);
        };

body: LBRACE stmts RBRACE { $$ = $stmts; $$.at = @$; ast_body_seal(&$$); };

stmts: %empty            { $$ = (ast_body){0}; }
     | stmts[list] stmt  { $$ = $list; PUSH($$.stmts, $stmt); }
     | stmts[list] error { $$ = $list; RESUME; };

names: ID                     { $$ = parse_one_name(ctx, $ID); }
     | names[list] COMMA ID   { $$ = $list; PUSH($$, $ID); };

stmt: LET names ASSIGN let_value    { $$ = parse_let(ctx, ST_LET, @$, $names, $let_value); }
    | POINT ID ASSIGN expr {
            $$ = parse_let(ctx, ST_POINT, @$, parse_one_name(ctx, $ID), $expr);
            $$->doc = doc_before(ctx, @$.begin);
        }
    | CONST ID ASSIGN expr {
            $$ = parse_let(ctx, ST_CONST, @$, parse_one_name(ctx, $ID), $expr);
            $$->doc = doc_before(ctx, @$.begin);
        }
    | ID ASSIGN expr {
            $$ = ast_stmt_new(ctx->arena, ST_ASSIGN, @$);
            $$->assign.name = $ID;
            $$->assign.value = $expr;
            $$ = parse_checked_stmt(ctx, $$);
        }
    | ID LBRACKET indices RBRACKET ASSIGN expr {
            $$ = ast_stmt_new(ctx->arena, ST_ASSIGN, @$);
            $$->assign.name = $ID;
            $$->assign.indexed = true;
            $$->assign.indices = $indices;
            $$->assign.value = $expr;
            $$ = parse_checked_stmt(ctx, $$);
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
            $$ = parse_checked_stmt(ctx, $$);
        }
    | FOR ID IN expr body { /* the '..' is missing: sema says what to write */
            $$ = ast_stmt_new(ctx->arena, ST_FOR, (span){@FOR.begin, @expr.end});
            $$->loop.var = $ID;
            $$->loop.begin = $expr;
            $$->loop.body = $body;
            $$ = parse_checked_stmt(ctx, $$);
        }
    | SCOPE STRING body {
            $$ = ast_stmt_new(ctx->arena, ST_SCOPE, (span){@SCOPE.begin, @STRING.end});
            $$->scope.path = $STRING;
            $$->scope.body = $body;
            $$ = parse_checked_stmt(ctx, $$);
        }
    | if
    | REQUIRE exprs {
            $$ = ast_stmt_new(ctx->arena, ST_REQUIRE, @$);
            $$->values = $exprs;
            $$ = parse_checked_stmt(ctx, $$);
        }
    | RETURN exprs {
            $$ = ast_stmt_new(ctx->arena, ST_RETURN, @$);
            $$->values = $exprs;
            $$ = parse_checked_stmt(ctx, $$);
        }
    | YIELD exprs {
            $$ = ast_stmt_new(ctx->arena, ST_YIELD, @$);
            $$->values = $exprs;
            $$ = parse_checked_stmt(ctx, $$);
        };

if: IF expr body[then] {
            $$ = ast_stmt_new(ctx->arena, ST_IF, (span){@IF.begin, @expr.end});
            $$->branch.cond = $expr;
            $$->branch.then = $then;
            $$ = parse_checked_stmt(ctx, $$);
        }
  | IF expr body[then] ELSE body[otherwise] {
            $$ = ast_stmt_new(ctx->arena, ST_IF, (span){@IF.begin, @expr.end});
            $$->branch.cond = $expr;
            $$->branch.then = $then;
            $$->branch.otherwise = $otherwise;
            $$->branch.has_else = true;
            $$ = parse_checked_stmt(ctx, $$);
        }
  | IF expr body[then] ELSE if[chained] {
            $$ = ast_stmt_new(ctx->arena, ST_IF, (span){@IF.begin, @expr.end});
            $$->branch.cond = $expr;
            $$->branch.then = $then;
            $$->branch.otherwise = parse_one_stmt(ctx, $chained);
            $$->branch.has_else = true;
            $$ = parse_checked_stmt(ctx, $$);
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
            $$ = parse_checked(ctx, $$);
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
    | NOT expr[x]                   { $$ = parse_checked(ctx, ast_unary(ctx->arena, AST_NOT, @NOT, $x)); }
    | MINUS expr[x] %prec NEGATE    { $$ = parse_checked(ctx, ast_unary(ctx->arena, AST_NEG, @MINUS, $x)); }
    | expr[x] OR expr[y]            { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_OR, @2, $x, $y)); }
    | expr[x] AND expr[y]           { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_AND, @2, $x, $y)); }
    | expr[x] EQ expr[y]            { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_EQ, @2, $x, $y)); }
    | expr[x] NE expr[y]            { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_NE, @2, $x, $y)); }
    | expr[x] LT expr[y]            { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_LT, @2, $x, $y)); }
    | expr[x] LE expr[y]            { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_LE, @2, $x, $y)); }
    | expr[x] GT expr[y]            { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_GT, @2, $x, $y)); }
    | expr[x] GE expr[y]            { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_GE, @2, $x, $y)); }
    | expr[x] PLUS expr[y]          { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_ADD, @2, $x, $y)); }
    | expr[x] MINUS expr[y]         { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_SUB, @2, $x, $y)); }
    | expr[x] STAR expr[y]          { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_MUL, @2, $x, $y)); }
    | expr[x] SLASH expr[y]         { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_DIV, @2, $x, $y)); }
    | expr[x] PERCENT expr[y]       { $$ = parse_checked(ctx, ast_binary(ctx->arena, AST_MOD, @2, $x, $y)); };

postfix: primary
       | postfix[base] DOT ID {
            $$ = ast_expr_new(ctx->arena, EX_FIELD, @$);
            $$->field.base = $base;
            $$->field.name = $ID;
            $$ = parse_checked(ctx, $$);
        }
       | postfix[base] LBRACKET indices RBRACKET {
            $$ = ast_expr_new(ctx->arena, EX_INDEX, @$);
            $$->index.base = $base;
            $$->index.indices = $indices;
            $$ = parse_checked(ctx, $$);
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
            $$ = parse_checked(ctx, $$);
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

primary: ID                     { $$ = parse_leaf(ctx, EX_NAME, $ID); }
       | VALID                  { $$ = parse_leaf(ctx, EX_NAME, $VALID); }
       | STRING                 { $$ = parse_leaf(ctx, EX_STRING, $STRING); }
       | INT                    { $$ = ast_expr_new(ctx->arena, EX_INT, @$); $$->integer = $INT; }
       | FLOAT                  { $$ = ast_expr_new(ctx->arena, EX_FLOAT, @$); $$->real = $FLOAT; }
       | TRUE                   { $$ = ast_expr_new(ctx->arena, EX_BOOL, @$); $$->boolean = true; }
       | FALSE                  { $$ = ast_expr_new(ctx->arena, EX_BOOL, @$); }
       | LPAREN expr RPAREN     { $$ = $expr; }
       | LBRACKET exprs RBRACKET {
            $$ = ast_expr_new(ctx->arena, EX_LIST, @$);
            $$->list = $exprs;
            $$ = parse_checked(ctx, $$);
        }
       | LBRACKET axes BAR expr RBRACKET {
            $$ = ast_expr_new(ctx->arena, EX_BUILDER, @$);
            $$->builder.axes = $axes;
            $$->builder.value = $expr;
            $$ = parse_checked(ctx, $$);
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
            $$ = parse_decl(ctx, DECL_OPTIMIZE, $ID, (span){@OPTIMIZE.begin, @ID.end});
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

/* Bison calls this only when its stack is full: syntax errors go through yyreport_syntax_error. */
static void fe_yyerror(const span *at, parse_ctx *ctx, const char *message)
{
    (void)message;
    parse_too_deep(ctx, *at);
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
    ctx->skipping = !parse_resumes(ctx) || (ctx->base == 0 && !stands_there);
    if (!ctx->skipping) parse_forget_brackets(ctx);
    return 0;
}
