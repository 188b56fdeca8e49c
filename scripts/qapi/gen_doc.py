# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference in reStructuredText, made of the documentation comments."""

import re
import textwrap

from doc import Doc
from entities import AlternateType, ArrayType, EnumType, ObjectType
from parser import Definition

TITLE = 'QMP reference'
KINDS = {'enum': 'Enum', 'struct': 'Object', 'union': 'Object',
         'alternate': 'Alternate', 'command': 'Command', 'event': 'Event'}


def generate(schema):
    """The whole text."""
    parts = [_heading(TITLE, '='), _reference(schema)]
    return '\n'.join(part for part in parts if part)


def generate_page(schema, frame):
    """The text @frame with @COMMANDS@ and @EVENTS@ replaced by a list of
    them, and @REFERENCE@ by all that is known of them and of their types."""
    lists = {'@COMMANDS@\n': _index(schema, 'command'),
             '@EVENTS@\n': _index(schema, 'event'),
             '@REFERENCE@\n': _reference(schema)}
    for mark, text in lists.items():
        frame = frame.replace(mark, text)
    return frame


def _reference(schema):
    entities = {entity.name: entity
                for entity in schema.types + schema.commands + schema.events}
    parts = []
    for module in schema.modules:
        for item in module.items:
            if isinstance(item, Definition):
                parts.append(_definition(item, entities[item.name]))
            elif isinstance(item, Doc):
                parts.append(_free_text(item))
    return '\n'.join(part for part in parts if part)


def _index(schema, meta):
    """Each definition of kind @meta, by name, with its first sentence."""
    found = {item.name: item for module in schema.modules
             for item in module.items
             if isinstance(item, Definition) and item.meta == meta}
    return '\n'.join(_index_row(found[name]) for name in sorted(found))


def _index_row(item):
    text = ' '.join(item.doc.body[0].text().split())
    sentence = text.split('. ')[0].rstrip('.')
    oob = ' (out-of-band)' if item.expr.get('allow-oob') else ''
    return f'``{item.name}``{oob}\n    {_markup(sentence)}\n'


def _heading(text, mark):
    return f'{text}\n{mark * len(text)}\n'


def _markup(text):
    """@name is how comments refer to members."""
    return re.sub(r'@([A-Za-z0-9_-]+)', r'``\1``', text)


def _free_text(doc):
    parts = []
    for section in doc.body:
        if section.tag:
            mark = '-' if section.tag == '=' else '~'
            parts.append(_heading(section.head, mark))
        if text := section.rest():
            parts.append(_markup(text) + '\n')
    return '\n'.join(parts)


def _definition(item, entity):
    doc = item.doc
    parts = [_heading(f'{item.name} ({KINDS[item.meta]})', '^')]
    parts += [_markup(section.text()) + '\n' for section in doc.body
              if section.text()]
    parts.append(_member_list(doc, item, entity))
    parts += [_section(section) for section in doc.sections]
    if item.expr.get('allow-oob'):
        parts.append('May be executed out-of-band.\n')
    return '\n'.join(part for part in parts if part)


def _member_list(doc, item, entity):
    rows = []
    if item.meta == 'enum':
        rows = [_row(value, '', doc) for value in entity.values]
        title = 'Values'
    elif isinstance(entity, AlternateType):
        rows = [_row(branch.name, _type_name(branch.type), doc)
                for branch in entity.branches]
        title = 'Branches'
    elif isinstance(entity, ObjectType):
        rows = _object_rows(entity, doc)
        title = 'Members'
    else:
        rows = _call_rows(entity, doc)
        title = 'Arguments' if item.meta == 'command' else 'Data'
    if not rows:
        return ''
    return f'{title}:\n\n' + '\n'.join(rows)


def _object_rows(entity, doc):
    rows = []
    if entity.base:
        rows.append(f'The members of ``{entity.base.name}``\n')
    rows += [_member_row(member, doc) for member in entity.members]
    for branch in entity.branches:
        rows.append(f'When ``{entity.tag.name}`` is ``{branch.name}``: '
                    f'the members of ``{branch.type.name}``\n')
    return rows


def _call_rows(call, doc):
    if call.arg is None:
        return []
    if not call.arg.implicit:
        return [f'The members of ``{call.arg.name}``\n']
    return [_member_row(member, doc) for member in call.arg.members]


def _member_row(member, doc):
    kind = _type_name(member.type)
    return _row(member.name, kind + ', optional' * member.optional, doc)


def _row(name, kind, doc):
    head = f'``{name}``' + (f' ({kind})' if kind else '')
    text = _markup(doc.members[name].text())
    return head + '\n' + textwrap.indent(text, '    ') + '\n'


def _type_name(type_):
    if isinstance(type_, ArrayType):
        return f'list of {_type_name(type_.element)}'
    if isinstance(type_, (EnumType, ObjectType, AlternateType)):
        return f'``{type_.name}``'
    return type_.name


def _section(section):
    text = section.text()
    if section.tag is None:
        return _markup(text) + '\n'
    if section.tag.startswith('Example'):
        return f'{section.tag}::\n\n' + textwrap.indent(text, '    ') + '\n'
    if '\n' in text or text.startswith('- '):
        return f'{section.tag}:\n\n' + _markup(text) + '\n'
    return f'{section.tag}: {_markup(text)}\n'
