# What a plant sets up in its Request Tracker for Telltale (docs/cmms/request-tracker.md), done at once for tests.
# Prints one JSON object: the bot's token. Run with RT_SITE_CONFIG naming the instance.
use strict;
use warnings;
use JSON ();
use RT -init;
use RT::AuthToken;

my ($code, $password) = @ARGV;
my $root = RT->SystemUser;

sub ok_or_die { my ($ok, $said) = @_; die "$said\n" unless $ok; return $ok }

my $queue = RT::Queue->new($root);
ok_or_die($queue->Create(Name => 'Maintenance', Description => 'Orders for the workshop'));

my %fields = (
    'Telltale key'    => 'FreeformSingle',
    'Telltale report' => 'TextSingle',
    'Failure mode'    => 'SelectSingle',
    'Failure cause'   => 'SelectSingle',
    'Action taken'    => 'SelectSingle',
    'Closure note'    => 'FreeformSingle',
    'Shift'           => 'FreeformSingle',
);
my %values = (
    'Failure mode' => [qw(NO_ISSUE BLOCKAGE CAVITATION CORROSION DEPOSIT IMBALANCE LUBRICATION MISALIGNMENT OTHER
        RESONANCE ROTATING_LOOSENESS STRUCTURAL_LOOSENESS TRANSMITTED_FAULT UNDETERMINED)],
    'Failure cause' => [qw(ADMINISTRATION DESIGN FABRICATION MAINTENANCE OPERATION OTHER QUALITY UNDETERMINED WEAR)],
    'Action taken' => [qw(ADJUST CLEAN LUBRICATE MODIFY NO_ACTION OTHER OVERHAUL REPLACE)],
);
my @fields;
for my $name (sort keys %fields) {
    my $field = RT::CustomField->new($root);
    ok_or_die($field->Create(Name => $name, Type => $fields{$name}, LookupType => 'RT::Queue-RT::Ticket'));
    $field->AddValue(Name => $_) for @{ $values{$name} || [] };
    ok_or_die($field->AddToObject($queue));  # until it is applied to the queue, no search finds it
    push @fields, $field;
}

my $catalog = RT::Catalog->new($root);
ok_or_die($catalog->Create(Name => 'Machines'));
my $pump = RT::Asset->new($root);
ok_or_die($pump->Create(Name => 'pump-7', Description => 'Feed pump 7', Catalog => 'Machines'));

sub user {
    my ($name) = @_;
    my $user = RT::User->new($root);
    ok_or_die($user->Create(
        Name => $name, Password => $password, EmailAddress => "$name\@plant.example", Privileged => 1));
    return $user;
}

# The bot: what the adapter needs, and no more.
my $bot = user('telltale');
ok_or_die($bot->PrincipalObj->GrantRight(Object => $queue, Right => $_))
    for qw(SeeQueue CreateTicket ShowTicket ShowTicketComments CommentOnTicket ModifyTicket);
for my $field (@fields) {
    ok_or_die($bot->PrincipalObj->GrantRight(Object => $field, Right => $_)) for qw(SeeCustomField ModifyCustomField);
}
ok_or_die($bot->PrincipalObj->GrantRight(Object => $catalog, Right => $_)) for qw(ShowCatalog ShowAsset);

# A technician, and who may merge and delete.
for my $name ('mia', 'jo') {
    my $person = user($name);
    ok_or_die($person->PrincipalObj->GrantRight(Object => $queue, Right => $_))
        for qw(SeeQueue ShowTicket ShowTicketComments CommentOnTicket ReplyToTicket ModifyTicket OwnTicket DeleteTicket
        CreateTicket);
    for my $field (@fields) {
        ok_or_die($person->PrincipalObj->GrantRight(Object => $field, Right => $_))
            for qw(SeeCustomField ModifyCustomField);
    }
}

# One who may look and not touch.
my $reader = user('reader');
ok_or_die($reader->PrincipalObj->GrantRight(Object => $queue, Right => $_)) for qw(SeeQueue ShowTicket);
ok_or_die($reader->PrincipalObj->GrantRight(Object => $_, Right => 'SeeCustomField')) for @fields;

my $action = RT::ScripAction->new($root);
ok_or_die($action->LoadByCols(Name => 'User Defined') && $action->Id, 'no action');
my $scrip = RT::Scrip->new($root);
ok_or_die($scrip->Create(
    Description => 'Tell Telltale', Queue => $queue->Id, Stage => 'TransactionBatch',
    ScripCondition => 'User Defined', ScripAction => 'User Defined', Template => 'Blank',
    CustomIsApplicableCode => '1;', CustomPrepareCode => '1;', CustomCommitCode => $code));

my ($id, $said, $token) = do {
    my $made = RT::AuthToken->new($root);
    $made->Create(Owner => $bot->Id, Description => 'Telltale');
};
ok_or_die($id, $said);
print JSON::encode_json({ token => $token }), "\n";
