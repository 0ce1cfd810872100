//! Whole templates; what was expected was written by transformers 5.23 with jinja2 3.1.6.

use super::*;
use crate::Message;

fn settings() -> Settings {
    Settings::at(jiff::civil::date(2026, 11, 29).at(6, 7, 5, 0))
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::compile(source, settings()).expect("the source is valid")
}

fn conversation() -> Conversation {
    Conversation::new(vec![
        Message::new("system", "Be brief."),
        Message::new("user", "2+2?"),
        Message::new("assistant", " 4 "),
    ])
}

fn render(source: &str) -> Result<Rendered, RenderError> {
    template(source).render(&conversation(), &[], Ending::Closed)
}

/// The text of a rendering that works.
fn text(source: &str) -> String {
    render(source).unwrap_or_else(|error| panic!("{source}: {error}")).text
}

#[test]
fn jinja_is_set_up_as_transformers_sets_it_up() {
    let pairs = [
        // Blocks are trimmed, and one newline at the end.
        ("  {% if true %}\na\n  {% endif %}\nb\n\n", "a\nb\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("{% raw %}\n{{ a }}\n{% endraw %}\nb", "\n{{ a }}\nb"),
        // Values are printed as Python prints them.
        (
            "{{ [1, 2.0, 1e16, true, none, 'it\\'s'] }}{{ {'a': [none]} }}{{ missing }}",
            "[1, 2.0, 1e+16, True, None, \"it's\"]{'a': [None]}",
        ),
        ("{{ none }}|{{ tools }}|{{ documents }}|{{ tools is none }}|{{ not tools }}", "None|None|None|True|True"),
        ("{{ {'<b>': \"&'\"} | tojson }}", "{\"<b>\": \"&'\"}"),
        (
            "{{ [1, {'b': 1, 'a': 2}] | tojson(indent=2, sort_keys=true) }}",
            "[\n  1,\n  {\n    \"a\": 2,\n    \"b\": 1\n  }\n]",
        ),
        ("{{ {'é': 1} | tojson(separators=(',', ':'), ensure_ascii=true) }}", "{\"\\u00e9\":1}"),
        ("{{ strftime_now('%d %b %Y') }}", "29 Nov 2026"),
        // Methods of strings.
        ("{{ 'a\u{1c}\n'.strip() }}|{{ ' xax '.strip(' x') }}|{{ 'aXb'.removeprefix('aX') }}", "a|a|b"),
        (
            "{{ 'a-b-c'.rsplit('-', 1) }}{{ ' a  b '.split() }}{{ ' a b c '.split(none, 1) }}",
            "['a-b', 'c']['a', 'b']['a', 'b c ']",
        ),
        (
            "{{ ' a b c '.rsplit(none, 1) }}{{ 'a=b=c'.partition('=') }}{{ 'a'.partition('=') }}",
            "[' a b', 'c']('a', '=', 'b=c')('a', '', '')",
        ),
        ("{{ 'a\\r\\nb\\x0bc'.splitlines() }}{{ 'a\\n'.splitlines(true) }}", "['a', 'b', 'c']['a\\n']"),
        ("{{ '-7'.zfill(4) }}{{ 'ab'.center(5, '*') }}{{ 'a\\tb'.expandtabs(4) }}", "-007**ab*a   b"),
        ("{{ 'they\\'re x2y'.title() }}{{ 'aB'.swapcase() }}{{ 'abca'.find('a', 1) }}", "They'Re X2YAb3"),
        (
            "{{ 'a\\nb\\n' | indent(2) }}|{{ 'a\\n\\nb' | indent(width='>', first=true, blank=true) }}",
            "a\n  b\n|>a\n>\n>b",
        ),
        // Generators have no length and are always true.
        ("{{ 'yes' if messages | selectattr('role', 'equalto', 'x') else 'no' }}", "yes"),
        ("{{ messages | map(attribute='role') | join(',') }}", "system,user,assistant"),
        ("{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{{ loop.index }}{% endfor %}", "13"),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "3"),
        (
            "{{ none is iterable }}{{ {} is sequence }}{{ 'x' is sequence }}{{ missing is iterable }}",
            "FalseTrueTrueTrue",
        ),
        ("[{{ self.a }}]", "[]"),
        ("{{ missing.a is defined }}", "False"),
    ];
    for (source, expected) in &pairs[..pairs.len() - 1] {
        assert_eq!(text(source), *expected, "{source}");
    }
    // An attribute of what is undefined is an error, also in a test.
    assert!(render(pairs[pairs.len() - 1].0).is_err());
}

#[test]
fn refusals_carry_the_words_of_the_template() {
    let raised = |source: &str| match render(source) {
        Err(RenderError::Raised(message)) => message,
        other => panic!("{source}: {other:?}"),
    };
    assert_eq!(raised("{{ raise_exception('no system role') }}"), "no system role");
    assert_eq!(
        raised("{% macro m(x) %}{{ raise_exception('in ' ~ x) }}{% endmacro %}\n{{ m('a macro') }}"),
        "in a macro"
    );
    assert_eq!(raised("{% for m in messages %}{{ raise_exception(m.role) }}{% endfor %}"), "system");
}

#[test]
fn other_failures_say_where() {
    let error = render("a\n{{ messages[9].role }}").expect_err("there is no tenth message");
    assert_eq!(error.to_string(), "undefined value (line 2 of the chat template)");
    for source in [
        "{{ 'a' + 1 }}",
        "{% for t in tools %}{% endfor %}",
        "{{ tools | length }}",
        "{{ [1].append(2) }}",
        "{{ 'a'.split('') }}",
    ] {
        assert!(matches!(render(source), Err(RenderError::Failed { .. })), "{source}");
    }
    let error = ChatTemplate::compile("a\n{% if %}", settings()).expect_err("it is no template");
    let TemplateError::Syntax { line, .. } = error;
    assert_eq!(line, Some(2));
}

#[test]
fn what_is_added_to_safe_text_is_not_escaped() {
    assert_eq!(text("{{ '<b>' | safe }}{{ 'a' ~ ('<' | safe) }}"), "<b>a<");
    assert_eq!(
        text("{{ '<b>' | safe + 'b' }}{% set x = {'a': 1} | tojson | safe %}{{ x + ' c' }}"),
        "<b>b{\"a\": 1} c"
    );
    // In Jinja2 the other operand would be escaped; what stands beside escapes nothing.
    assert!(matches!(render("{{ '<a>' | safe + '<b>' }}"), Err(RenderError::Failed { .. })));
    assert!(matches!(render("{{ ('<a>' | safe).strip() + 'b' }}"), Err(RenderError::Failed { .. })));
    assert_eq!(text("{{ '<a>' | safe + 'b' }}{{ '<' + '>' }}"), "<a>b<>");
    assert!(matches!(
        render("{% set x = '<a>' | safe + messages[1].content %}{{ x + '<b>' }}"),
        Err(RenderError::Failed { .. })
    ));
}

#[test]
fn work_is_bounded() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ 'x' * 99 }}{% endfor %}{% endfor %}";
    assert!(matches!(render(endless), Err(RenderError::OutOfFuel)));
    assert!(matches!(render("{{ 'x'.ljust(9999999999) }}"), Err(RenderError::OutOfFuel)));
    let deep = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    assert!(matches!(render(deep), Err(RenderError::Failed { .. })));
}

#[test]
fn an_empty_conversation_is_refused() {
    let rendered = template("x").render(&Conversation::default(), &[], Ending::Closed);
    assert!(matches!(rendered, Err(RenderError::Empty)));
}

#[test]
fn variables_and_the_generation_prompt_are_seen() {
    let template =
        template("{{ bos_token }}{% if thinking is defined %}T{% endif %}{% if add_generation_prompt %}>{% endif %}");
    let variables = [("bos_token".to_owned(), Json::from("<s>")), ("thinking".to_owned(), Json::from(false))];
    let render = |ending| template.render(&conversation(), &variables, ending).expect("it works").text;
    assert_eq!(render(Ending::Closed), "<s>T");
    assert_eq!(render(Ending::GenerationPrompt), "<s>T>");
}

#[test]
fn a_message_is_left_open() {
    let open = |source: &str, field: &str| {
        template(source).render(&conversation(), &[], Ending::Open(field)).map(|rendered| rendered.text)
    };
    let keeps = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}";
    assert_eq!(open(keeps, "content").expect("it works"), "<system>Be brief.</><user>2+2?</><assistant> 4 ");
    let trims = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}";
    assert_eq!(open(trims, "content").expect("it works"), "<system>Be brief.</><user>2+2?</><assistant>4");
    assert!(matches!(open(keeps, "thinking"), Err(RenderError::CannotContinue(_))));
    assert!(matches!(open("{{ messages[0].content }}", "content"), Err(RenderError::CannotContinue(_))));
}

/// The text of the generation blocks.
fn generated(source: &str) -> Vec<String> {
    let rendered = render(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    rendered.generated.iter().map(|range| rendered.text[range.clone()].to_owned()).collect()
}

#[test]
fn generation_blocks_are_found_wherever_they_stand() {
    let body = "{% generation %}{{ m.content }}<e>\n{% endgeneration %}";
    let loops = "{% for m in messages %}[{{ m.role }}]";
    let written = ["Be brief.<e>\n", "2+2?<e>\n", " 4 <e>\n"];
    assert_eq!(generated(&format!("{loops}{body}{{% endfor %}}")), written);
    // Inside of a macro, a block, a filter and another generation block transformers counts from the wrong place.
    assert_eq!(
        generated(&format!("{{% macro f(m) %}}é{body}{{% endmacro %}}{loops}{{{{ f(m) }}}}{{% endfor %}}")),
        written
    );
    assert_eq!(generated(&format!("{loops}{{% set x %}}{body}{{% endset %}}é{{{{ x }}}}{{% endfor %}}")), written);
    assert_eq!(
        generated(&format!("{loops}{{% filter upper %}}{body}{{% endfilter %}}{{% endfor %}}")),
        ["BE BRIEF.<E>\n", "2+2?<E>\n", " 4 <E>\n"]
    );
    assert_eq!(
        generated(&format!("{loops}{{% generation %}}({body}){{% endgeneration %}}{{% endfor %}}")),
        ["(Be brief.<e>\n)", "(2+2?<e>\n)", "( 4 <e>\n)"]
    );
    // Empty blocks are none, and whitespace is trimmed outside of the block alone.
    assert_eq!(generated("a {%- generation %} {% endgeneration -%} b{% generation %}{% endgeneration %}"), [" "]);
    // A block that is written twice, or never.
    assert_eq!(generated("{% set x %}{% generation %}g{% endgeneration %}{% endset %}{{ x }}.{{ x }}"), ["g", "g"]);
    assert_eq!(generated("{% set x %}{% generation %}g{% endgeneration %}{% endset %}"), [""; 0]);
    // Assignments stay inside of the block, as in transformers; those to a namespace do not.
    let scope = "{% set ns = namespace(a=1) %}{% set b = 1 %}{% generation %}{% set ns.a = 2 %}{% set b = 2 %}{% endgeneration %}";
    assert_eq!(text(&format!("{scope}{{{{ ns.a }}}}{{{{ b }}}}")), "21");
}

#[test]
fn blocks_that_the_template_changes_are_refused() {
    let source = "{% set x %}{% generation %}a{% endgeneration %}{% endset %}{{ x | length }}";
    assert!(matches!(render(source), Err(RenderError::MovingMarks)));
    let source = "{% set x %}{% generation %}a{% endgeneration %}{% endset %}{{ x[1:] }}";
    assert!(matches!(render(source), Err(RenderError::MovingMarks)));
}

#[test]
fn templates_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<ChatTemplate>();
    shared::<Conversation>();
}
