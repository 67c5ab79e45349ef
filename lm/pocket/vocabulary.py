"""Word lists of the generator; held-out evaluation has its own (held_out.py), with other kinds of things."""
# ruff: noqa: SIM905 - lists of words and sentences are easier to read and to extend as text

from pathlib import Path

CONSONANTS = "b br c ch d dr f fl g gr h j k kl l m n p pr r s sh st t th tr v w y z".split()
VOWELS = "a e i o u ai ea ie oa ou".split()
CODAS = ["", "", "l", "n", "r", "s", "m", "nd", "rt", "x", "ck", "th", "ll", "rn", "st", "v"]

FIRST_NAMES = (
    "Anna Ben Carla David Elena Frank Grace Hugo Ines Jonas Karim Laura Marta Nadia "
    "Oscar Priya Quentin Rosa Samir Tara "
    "Ulrich Vera Wendy Xavier Yusuf Zoe Amir Bianca Chen Dmitri Farah Gita Hana Ivan Joan Kofi Lena Miguel Nora Omar "
    "Paula Rahul Sofia Tomas Ursula Viktor Aisha Bruno Clara Diego"
).split()
ROLES = (
    "the site manager|the duty nurse|the head of finance|the caretaker|the shift leader|the front office|the tenant|"
    "the finance team|the dealer|the service team|the warehouse|the works council|"
    "a trained technician|the safety officer|"
    "the customer desk|the head chef|the area manager|a certified fitter|the records office|the department head"
).split("|")
ORGANISATION_ENDINGS = (
    "Logistics|Group|Foods|Partners|Systems|Freight|Labs|Motors|Insurance|Bank|Press|Energy|Textiles|Brothers|Software|"
    "Media|Services|Tools"
).split("|")
STREETS = "Street Road Lane Avenue Square Quay Hill Court".split()
SPOTS = (
    "the north gate|the main entrance|the second floor|the car park|the east wing|the basement|the front desk|"
    "the tool shed|the staff kitchen|the old mill|the ticket office|the loading dock|the roof garden|the boat house|"
    "the blue cabinet|the mail room|the west tower|the courtyard|the reading room|the town hall|the first-aid room|"
    "the bus stop|the cold store|the garage|the left side|the bottom right corner|"
    "the back panel|behind the front cover|"
    "under the lid|inside the door|on the underside|below the display|next to the power switch|a dry cellar|"
    "the upper shelf|the lower drawer|above the handle|the top left corner|a shady corner|the settings menu"
).split("|")
ADJECTIVES = (
    "blue signed small spare clean printed sealed old heavy light round wooden "
    "folded valid recent plastic dry warm sharp "
    "soft digital empty frozen fresh green red steel thin broken silver golden hidden painted portable quiet woven wet "
    "yellow double open short long hard flat lukewarm damp gentle strong mild original intensive daily cold rapid"
).split()
COLOURS = (
    "red|blue|dark green|pale yellow|black|white|silver|grey|orange|purple|brown|ivory|crimson|navy|teal|bronze|olive|"
    "turquoise|charcoal|pink|amber|burgundy|green"
).split("|")
MATERIALS = (
    "oak,steel,stainless steel,aluminium,cotton,wool,bamboo,glass,recycled plastic,leather,concrete,brass,carbon fibre,"
    "rubber,linen,clay,titanium,cork,nylon,copper,walnut,granite,silk,paper,maple,silicone,enamel,toughened glass"
).split(",")
THINGS = (
    "white vinegar|the rinse aid|a flat screwdriver|the drain hose|the door seal|"
    "limescale|the inlet valve|a soft cloth|"
    "citric acid|the proof of purchase|the pump filter|a worn bearing|the transport bolts|boiling water|metal objects|"
    "the start key|the power key|glass damage|wear parts|a spirit level|the dust cover|the child lock|delicate|quick|"
    "night|bleach|scouring powder|compressed air|a bent pin|a blown fuse|the reset pin|washing powder|table salt|"
    "the original box|the till receipt|a passport photo|the signed contract|protective film|low battery|a loose cable|"
    "an unbalanced load|a puddle below the unit|a burning smell|a dimmed display|batteries|light bulbs|garden waste"
).split("|")
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBER_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty sixty ninety"
).split()
TIME_UNITS = "days|hours|minutes|weeks|months|years|seconds|business days|working days".split("|")
UNITS = (
    "kg|g|cm|mm|m|km|litres|ml|GB|TB|MB|W|kW|kWh|volts|km/h|mph|degrees|°C|bar|hours|"
    "square metres|inches|tons|lumens|Hz|"
    "decibels|dB|pounds|rpm|amps|watts|metres|grams|kilometres|mm deep|litres per minute|kWh per year|newton metres"
).split("|")
# What the name of a property, or a question for it, says of its unit: pattern and units.
QUANTITY_UNITS = {
    "weigh|heav|payload|maximum load|scale": "kg|kg|g|tons|pounds|grams|kilos",
    "noise|loud|quiet|sound": "dB|dB(A)|decibels",
    "temperature|warm|how hot|heats? to|operates at": "°C|°C|degrees",
    "deep|depth|wide|width|tall|high|height|long|length|thick|clearance|gap|diameter|reach|measure": (
        "cm|mm|m|cm|inches|metres"
    ),
    "range|distance|how far": "m|km|miles|metres|kilometres",
    "tank|hold|volume|capacity|fill|dose|measured out|water": "litres|ml|l|litres|cups|g",
    "electric|energy|consum|power|rated|output|draw": "kWh|W|kW|watts|kWh per year|kWh per 100 cycles",
    "pressure|pump": "bar|kPa|psi",
    "speed|fast|go as": "km/h|mph|rpm|metres per second",
    "area|large|space|occup": "square metres|m²|hectares|square feet",
    "frequenc|tune|transmit": "Hz|kHz|MHz",
    "file|storage|memory|upload|bandwidth": "GB|MB|TB|Mbit/s",
    "bright|light|lamp": "lumens|lux|watts",
    "fuse|current|volt": "A|amps|V|volts|mA",
    "flow|throughput|handle": "m³/h|litres per minute|l/min|kg per hour",
    "age|old": "years",
    "torque|tighten": "Nm|newton metres",
}
DURATION_UNITS = {
    "warrant|guarant|cover|stocked|parts|contract|sign up|lease|loan|records|support": "years|months|years",
    "deliver|return|refund|money back|notice|cancel|withdraw|trial": "days|weeks|working days|business days",
    "repl[iy]|answer|decision|complain|repair|arrive": "days|weeks|working days|business days|hours",
    "clean|filter|replace|inspect|lift|service|descale|every|often": "weeks|months|days|years|uses",
    "charge|charging|dry|cook|bake|heat|hot|cool|run|cycle|programme|full|half": "minutes|hours|minutes",
    "reset|press|hold|button|key|stand|wait|switch": "seconds|minutes|hours",
}
KINDS = (
    "kettle;pump;camera;router;scooter;heater;drone;lamp;printer;tractor;sensor;"
    "backpack;freezer;app;plan;package;policy;"
    "course;workshop;programme;library;museum;hotel;ferry;station;garden;project;"
    "team;department;committee;archive;tower;"
    "bridge;school;warehouse;farm;bakery;office;lab;account;membership;loan;card;"
    "insurance;tour;festival;league;vaccine;"
    "filter;engine;server;database;portal;journal;report;contract;permit;hall;pool;"
    "gym;studio;shop;trail;island;road;valve;"
    "desk;chair;boat;van;toaster;vacuum cleaner;coffee machine;boiler;lawn mower;"
    "hair dryer;air purifier;blender;projector;"
    "monitor;speaker;headset;keyboard;thermostat;radiator;sewing machine;chainsaw;drill;ladder;pressure cooker;fan;"
    "smoke alarm;water filter;treadmill;pram;mattress;sofa;lift;escalator;greenhouse;"
    "solar panel;charger;fridge;oven;hob"
).split(";")
MODEL_WORDS = "Mini Pro Plus Max Classic Go Air One Compact Duo Prime XL Eco Light".split()
MODIFIERS = (
    "standard;maximum;minimum;average;initial;extended;typical;regional;weekend;"
    "annual;new;official;main;second;current;"
    "former;internal;backup;winter;summer;night;special;preferred;basic;total;local;final;planned;estimated;recommended"
).split(";")

_NOUNS = {
    "duration": "access time;cooling time;response time;waiting time;drying time;lead time;lease term;cooking time;"
    "training time;setup time;recovery time;hold period;review period;booking window;timeout;cycle time;rest period",
    "money": "fee;rent;fare;entry fee;tax;surcharge;toll;refund limit;daily rate;hourly rate;"
    "spending limit;credit limit;"
    "grant;bonus;reward;premium;tuition;salary;donation;ticket price;insurance cost;fuel cost;service charge",
    "percent": "commission;tax rate;margin;error rate;growth rate;share;occupancy;efficiency;completion rate;coverage;"
    "alcohol content;fat content;battery level;turnout;accuracy;loss rate",
    "quantity": "diameter;depth;volume;pressure;flow rate;thickness;range;distance;dose;"
    "tank size;voltage;file size limit;"
    "bandwidth;area;clearance;fuel use;water use;torque;current;noise level;weight;height;width;cable length",
    "number": "population;floor count;score;attendance;enrolment;stock level;quota;daily limit;"
    "group size;number of rooms;"
    "number of branches;number of cards;vote count;page limit;retry limit;parking spaces;lanes;number of settings",
    "code": "access code;batch number;product code;licence number;invoice number;case number;policy number;gate number;"
    "room number;PIN;tax number;locker number;order number;classification;protocol;permit number;course code;channel",
    "date": "audit date;payment date;due date;birthday;founding date;delivery date;hearing date;exam date;harvest date;"
    "test date;move-in date;arrival date;festival date;review date;shutdown date",
    "time": "curfew;lunch break;end time;boarding time;arrival time;feeding time;reset time;call time;backup time",
    "day": "market day;cleaning day;training day;visiting day;payment day;review day;laundry day",
    "person": "coach;editor;chair;treasurer;architect;pilot;captain;auditor;nurse;guide;owner;"
    "tenant;landlord;judge;speaker;"
    "curator;chef;deputy;secretary;account manager;project lead;mentor;sponsor;safety officer;caretaker",
    "place": "venue;birthplace;warehouse;depot;port;terminal;exit;parking area;laboratory;"
    "shelter;campus;office;workshop;"
    "factory;entrance;first-aid station",
    "organisation": "partner;customer;distributor;client;operator;broker;carrier;bank;auditor firm;contractor;union",
    "contact": "help line;support address;billing contact;emergency number;press contact;fax number",
    "colour": "badge colour;line colour;wall colour;flag colour;warning light",
    "material": "cover material;filling;coating;fabric;floor material;insulation;packaging",
    "thing": "mascot;symbol;favourite dish;prize;cargo;crop;main product;hobby;topic;signal;"
    "side effect;safety equipment;"
    "backup system;emblem;theme;starter dish",
}
NOUNS = {kind: nouns.split(";") for kind, nouns in _NOUNS.items()}

FILLERS = (
    "{E} is popular with regular customers.|Please read this section carefully before you begin.|"
    "The team reviewed {e} last spring and found no major problems.|More details are available on request.|"
    "Our staff are happy to help with any questions.|This page was updated recently.|"
    "{E} was introduced after many requests from customers.|Some exceptions may apply in special cases.|"
    "If anything is unclear, ask at the front desk.|Feedback from visitors has been positive.|"
    "The rules are the same in every region.|{E} replaces an older version that is no longer offered.|"
    "Keep this document in a safe place.|"
    "A printed copy can be found at the entrance.|Many people ask about this topic.|"
    "{E} has become an important part of our service.|Changes are announced in the newsletter.|"
    "Work on {e} will continue next year.|Safety always comes first.|We try to keep things simple for everyone.|"
    "Further information is given in the appendix.|Not every branch offers this service.|"
    "{E} needs very little attention in daily use.|The following notes apply to all users.|"
    "Most of the trouble people report has a simple cause, and it is worth looking there first.|"
    "If the fault comes back, stop using {e} and get in touch with us before you try anything else.|"
    "None of this is difficult, but it does need a little patience the first time.|"
    "A faint hum is normal and no reason to call anyone.|"
    "Do not be tempted to skip this step, even when you are in a hurry.|"
    "Earlier editions of this text gave other figures; those below are the ones to go by.|"
    "Owners who look after {e} in this way rarely have to ask for help.|"
    "It is the one most people choose when they have little room.|"
    "The wording was changed after readers told us that the old one was hard to follow.|"
    "We know this is less than some would like, but it keeps things fair.|"
    "Anyone who wants more can look at the larger version.|Children should be kept away while you do this.|"
    "The figures are typical and will vary with use.|Hard water makes this necessary sooner.|"
    "It sounds complicated on paper and turns out to be easy in practice.|"
    "There is nothing else to set, and nothing that can be done wrong.|"
    "This replaces what you may have been told on the telephone.|Nothing in this notice limits your legal rights.|"
    "The older layout with the round dial is described in a separate leaflet.|"
    "{E} leaves the works tested and needs no further adjustment.|"
    "Ask before you order if you are not sure which one you have."
).split("|")
LEADS = (
    "Please note that |In general, |At present, |Since last year, |As a rule, |"
    "Under the current terms, |In everyday use |"
    "For most people |After the last revision, |Unless we agree otherwise, |"
    "Whatever the season, |On paper and in practice, "
).split("|")
TAILS = (
    ", and this has not changed for years|, as agreed with the owner|"
    " unless stated otherwise|, which surprises many people|"
    " in most cases|, measured under normal conditions|, whatever the weather|, although few people notice|"
    ", so plan accordingly| (see the leaflet)|, which is usually enough|, not counting holidays|, as the label shows"
).split("|")
TITLES = (
    "House rules|Staff handbook|Policy|Customer questions|General terms|Guide|Good to know|Care and cleaning|"
    "Terms of use|Notes for visitors|Before you start|Everyday use|Guarantee and repairs|Frequently asked questions"
).split("|")
SECTIONS = (
    "product sheet|care and cleaning|getting started|fault finding|technical data|what to know|installation|daily use|"
    "overview|terms|frequently asked questions|service notes|for dealers|at a glance|notice|maintenance|bulletin"
).split("|")

INSTRUCTIONS = (
    "Answer the question in a few words. If you do not know the answer, say: I don't know.|"
    "Answer the question in a few words. If you do not know the answer, say: I don't know.|"
    "Answer briefly from the passages. If they do not contain the answer, say: I don't know.|"
    'Use the passages to answer the question. Say "I don\'t know." if the answer is not there.|'
    "Answer with the shortest exact phrase. If you cannot tell, reply I don't know.|"
    "Give a short answer. When you are not sure, say: I don't know.|"
    "You answer customers' questions. Be brief; if the text does not say, answer: I don't know.|"
    "Read the passages and answer in as few words as possible.|Answer the question using the passages below.|"
    "Reply with the value only. If nothing fits, write: I don't know.|"
    "Answer the staff member's question with the shortest phrase that is right, or say I don't know.|"
    "Questions about our products and rules are answered here in a few words. Unknown answers: I don't know.|"
    "Answer the customer's question in at most ten words. If you do not know, say: I don't know."
).split("|")
SYSTEM_PROMPTS = (
    "You are a helpful assistant.|Answer with the shortest exact phrase from the passages.|"
    'You answer questions about documents.|Answer using the context. Say "I don\'t know." when it is missing.'
).split("|")

# Sets of words that a question may put for each other; verbs as base forms.
VERB_SYNONYMS = (
    "clean,wipe down,wash|replace,change,swap|remove,take out,pull out|check,inspect,"
    "examine|attach,fit,mount|repair,fix,mend|"
    "open,unlock|close,shut|start,switch on,turn on|stop,switch off,turn off|fill,top up|empty,drain|store,keep|"
    "send,mail,post|order,buy,purchase|book,reserve|cancel,call off|report,announce|"
    "approve,sign off,authorise|adjust,set|"
    "dry,air|heat,warm up|cool,chill|lift,raise|lower,let down|rinse,flush|descale,decalcify|charge,recharge|"
    "test,try out|oil,grease,lubricate|label,mark|lock,secure|pack,wrap|collect,pick up|deliver,bring|hand in,submit|"
    "show,present|measure,gauge|tighten,fasten|loosen,undo|cover,protect|discard,throw away|borrow,lend out|"
    "renew,extend|calibrate,fine-tune|reset,restart|connect,plug in|disconnect,unplug|cut,trim|paint,coat"
)
NOUN_SYNONYMS = (
    "lid,cover|hose,pipe,tube|screen,display|button,key|filter,strainer|seal,gasket|"
    "cable,lead,cord|bag,sack|box,carton|"
    "form,sheet|parcel,package|invoice,bill|receipt,proof of purchase|visitor,guest|"
    "employee,member of staff|manual,handbook|"
    "leak,drip|fault,defect|door,hatch|tray,drawer|handle,grip|wheel,castor|fan,blower|blade,knife|tank,reservoir|"
    "battery,cell|lamp,light|badge,pass|locker,cupboard|meeting,gathering|holiday,"
    "leave|wage,salary|bin,waste container|"
    "engine,motor|vehicle,car|floor,storey|shop,store|claim,request|password,passcode|sample,specimen|plant,shrub|"
    "bottle,flask|basket,rack|nozzle,jet|belt,strap|bed,bunk|boiler,water heater|"
    "bracket,holder|carpet,rug|drum,cylinder"
)


def written_lines(path: Path) -> list[str]:
    """Lines of a word file but for empty ones and comments, which begin with #."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _read_themes(path: Path) -> dict[str, list[str]]:
    """Read `label|phrases` lines. No phrase belongs to two themes."""
    lines = (line.split("|") for line in written_lines(path))
    return {label: phrases.split(";") for label, phrases in lines}


THEMES = _read_themes(Path(__file__).with_name("themes.txt"))
MESSAGES = (
    "I have a question about this: {w}.|Why {w}? Please explain.|Hello, it is about {w}.|{w}, and nobody told me!|"
    "Can you help? {w} again.|My problem: {w}.|{w} since this morning|There was something with {w} and {x}.|"
    "Yesterday: {w}. What now?|I am writing because of {w}.|so {w}, what should i do|"
    "Good morning, {w} once more. Thanks.|"
    "What about {w}?|All I can say is {w}.|I told your colleague about {w} last week.|{x} and also {w}.|"
    "We talked for an hour, mostly about {w}.|{w}: what do you make of it?|Does anybody know more on {w}?|"
    "I never thought {w} would matter so much.|Please look into this. {w}, that is all.|{w}? Really?|"
    "This is my third letter. It is still {w}.|As of Monday: {w}. Order number 55120.|Once again, {w}!|"
    "My daughter wrote something on {w}.|They keep sending me texts about {w}, and about {x}.|{w} (urgent)|"
    "I would rather not speak of {w}, but here we are.|First it was {x}, now {w}.|Not sure where to ask: {w}.|"
    "Hi there, hope you are well. {w}. Regards, Ana|Everyone here mentions {w}.|You know, {w} and things like that.|"
    "Reading about {w} on the way to work.|No idea what to say. {w}.|It all began with {w}.|"
    "Subject: {w}. Please call me back.|Some words on {w} would help.|In short, {w}.|Any news of {w}?|"
    "{w}, as I said on the phone.|{w}; {x}; I could go on.|Could you pass this on? {w}.|I am after {w}."
).split("|")
