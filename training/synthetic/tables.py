"""Small tables of common knowledge and of names, for the generators."""

CAPITALS = dict(
    line.split(":") for line in """France:Paris
Germany:Berlin
Italy:Rome
Spain:Madrid
Portugal:Lisbon
England:London
the United Kingdom:London
Scotland:Edinburgh
Wales:Cardiff
Ireland:Dublin
Norway:Oslo
Sweden:Stockholm
Denmark:Copenhagen
Finland:Helsinki
Iceland:Reykjavik
the Netherlands:Amsterdam
Belgium:Brussels
Luxembourg:Luxembourg
Switzerland:Bern
Austria:Vienna
Poland:Warsaw
the Czech Republic:Prague
Slovakia:Bratislava
Hungary:Budapest
Romania:Bucharest
Bulgaria:Sofia
Greece:Athens
Turkey:Ankara
Croatia:Zagreb
Serbia:Belgrade
Slovenia:Ljubljana
Albania:Tirana
Ukraine:Kyiv
Russia:Moscow
Estonia:Tallinn
Latvia:Riga
Lithuania:Vilnius
Malta:Valletta
Cyprus:Nicosia
the United States:Washington, D.C.
Canada:Ottawa
Mexico:Mexico City
Cuba:Havana
Jamaica:Kingston
Guatemala:Guatemala City
Panama:Panama City
Costa Rica:San José
Brazil:Brasília
Argentina:Buenos Aires
Chile:Santiago
Peru:Lima
Colombia:Bogotá
Venezuela:Caracas
Ecuador:Quito
Uruguay:Montevideo
Paraguay:Asunción
Bolivia:Sucre
China:Beijing
Japan:Tokyo
South Korea:Seoul
North Korea:Pyongyang
India:New Delhi
Pakistan:Islamabad
Bangladesh:Dhaka
Nepal:Kathmandu
Sri Lanka:Colombo
Thailand:Bangkok
Vietnam:Hanoi
Cambodia:Phnom Penh
Laos:Vientiane
Malaysia:Kuala Lumpur
Singapore:Singapore
Indonesia:Jakarta
the Philippines:Manila
Mongolia:Ulaanbaatar
Kazakhstan:Astana
Uzbekistan:Tashkent
Afghanistan:Kabul
Iran:Tehran
Iraq:Baghdad
Syria:Damascus
Lebanon:Beirut
Israel:Jerusalem
Jordan:Amman
Saudi Arabia:Riyadh
the United Arab Emirates:Abu Dhabi
Qatar:Doha
Kuwait:Kuwait City
Oman:Muscat
Yemen:Sanaa
Egypt:Cairo
Libya:Tripoli
Tunisia:Tunis
Algeria:Algiers
Morocco:Rabat
Sudan:Khartoum
Ethiopia:Addis Ababa
Kenya:Nairobi
Tanzania:Dodoma
Uganda:Kampala
Rwanda:Kigali
Ghana:Accra
Nigeria:Abuja
Senegal:Dakar
Mali:Bamako
South Africa:Pretoria
Namibia:Windhoek
Zimbabwe:Harare
Zambia:Lusaka
Mozambique:Maputo
Madagascar:Antananarivo
Angola:Luanda
Australia:Canberra
New Zealand:Wellington
Fiji:Suva""".splitlines()
)
CONTINENTS = {
    "Europe": "France Germany Italy Spain Portugal Norway Sweden Poland Greece Austria Hungary Ireland Belgium Finland",
    "Asia": "China Japan India Thailand Vietnam Nepal Pakistan Mongolia Malaysia Iran Iraq Indonesia",
    "Africa": "Egypt Kenya Nigeria Ghana Morocco Ethiopia Senegal Mali Algeria Tunisia Uganda Madagascar",
    "South America": "Brazil Argentina Chile Peru Colombia Ecuador Bolivia Uruguay Paraguay Venezuela",
    "North America": "Canada Mexico Cuba Jamaica Guatemala",
}
LANGUAGES = {
    "France": "French", "Germany": "German", "Italy": "Italian", "Spain": "Spanish", "Portugal": "Portuguese",
    "Brazil": "Portuguese", "Mexico": "Spanish", "Argentina": "Spanish", "Japan": "Japanese", "China": "Chinese",
    "Russia": "Russian", "Greece": "Greek", "Poland": "Polish", "Sweden": "Swedish", "Norway": "Norwegian",
    "Turkey": "Turkish", "Egypt": "Arabic", "Australia": "English", "England": "English", "Austria": "German",
    "Thailand": "Thai", "Vietnam": "Vietnamese", "Hungary": "Hungarian", "Denmark": "Danish", "Finland": "Finnish",
}  # fmt: skip
ANIMALS = {
    # name: (what it is, where it lives, what it eats, what it does, legs, its young)
    "dog": ("mammal", "with people", "meat", "barks", 4, "puppy"),
    "cat": ("mammal", "with people", "mice and fish", "meows", 4, "kitten"),
    "cow": ("mammal", "on farms", "grass", "moos", 4, "calf"),
    "horse": ("mammal", "on farms", "grass and hay", "neighs", 4, "foal"),
    "sheep": ("mammal", "on farms", "grass", "bleats", 4, "lamb"),
    "goat": ("mammal", "on farms and in the mountains", "grass and leaves", "bleats", 4, "kid"),
    "pig": ("mammal", "on farms", "almost anything", "oinks", 4, "piglet"),
    "duck": ("bird", "near ponds", "plants and insects", "quacks", 2, "duckling"),
    "chicken": ("bird", "on farms", "seeds", "clucks", 2, "chick"),
    "owl": ("bird", "in the woods", "mice", "hoots", 2, "owlet"),
    "eagle": ("bird", "in the mountains", "small animals", "screams", 2, "eaglet"),
    "penguin": ("bird", "in the cold south", "fish", "cannot fly but swims well", 2, "chick"),
    "lion": ("mammal", "in Africa", "meat", "roars", 4, "cub"),
    "tiger": ("mammal", "in Asia", "meat", "roars", 4, "cub"),
    "bear": ("mammal", "in the woods", "berries, fish and honey", "growls", 4, "cub"),
    "wolf": ("mammal", "in the woods", "meat", "howls", 4, "pup"),
    "fox": ("mammal", "in the woods", "mice and berries", "barks", 4, "cub"),
    "rabbit": ("mammal", "in fields", "grass and carrots", "hops", 4, "kit"),
    "mouse": ("mammal", "in fields and houses", "seeds", "squeaks", 4, "pup"),
    "elephant": ("mammal", "in Africa and Asia", "leaves and grass", "trumpets", 4, "calf"),
    "giraffe": ("mammal", "in Africa", "leaves", "has a very long neck", 4, "calf"),
    "zebra": ("mammal", "in Africa", "grass", "has black and white stripes", 4, "foal"),
    "monkey": ("mammal", "in forests", "fruit", "climbs trees", 4, "infant"),
    "kangaroo": ("mammal", "in Australia", "grass", "jumps", 2, "joey"),
    "koala": ("mammal", "in Australia", "leaves", "sleeps most of the day", 4, "joey"),
    "panda": ("mammal", "in China", "bamboo", "climbs trees", 4, "cub"),
    "camel": ("mammal", "in the desert", "dry plants", "carries people and goods", 4, "calf"),
    "whale": ("mammal", "in the sea", "tiny sea animals", "sings under water", 0, "calf"),
    "dolphin": ("mammal", "in the sea", "fish", "leaps out of the water", 0, "calf"),
    "shark": ("fish", "in the sea", "fish", "has many sharp teeth", 0, "pup"),
    "frog": ("amphibian", "near ponds", "insects", "croaks", 4, "tadpole"),
    "snake": ("reptile", "in many warm places", "mice and eggs", "hisses", 0, "snakelet"),
    "turtle": ("reptile", "in water and on land", "plants", "carries a shell", 4, "hatchling"),
    "crocodile": ("reptile", "in rivers", "meat", "waits in the water", 4, "hatchling"),
    "bee": ("insect", "in hives", "nectar", "buzzes", 6, "larva"),
    "ant": ("insect", "in nests in the ground", "almost anything", "carries heavy things", 6, "larva"),
    "butterfly": ("insect", "in gardens and meadows", "nectar", "flies from flower to flower", 6, "caterpillar"),
    "spider": ("arachnid", "almost everywhere", "insects", "spins webs", 8, "spiderling"),
}
COLOURS = {
    "the sky on a clear day": "blue", "grass": "green", "snow": "white", "blood": "red", "a ripe banana": "yellow",
    "a lemon": "yellow", "coal": "black", "an orange": "orange", "a carrot": "orange", "milk": "white", "the sun": "yellow",
    "a ripe tomato": "red", "a strawberry": "red", "chocolate": "brown", "a polar bear": "white", "an elephant": "grey",
    "a crow": "black", "a leaf in summer": "green", "the sea": "blue", "a fire truck": "red", "a school bus": "yellow",
    "a flamingo": "pink", "a plum": "purple", "a frog": "green", "gold": "yellow", "a cucumber": "green", "salt": "white",
}  # fmt: skip
MIXES = {("red", "yellow"): "orange", ("blue", "yellow"): "green", ("red", "blue"): "purple", ("red", "white"): "pink",
         ("black", "white"): "grey", ("red", "green"): "brown"}  # fmt: skip
OPPOSITES = dict(
    pair.split(":") for pair in (
        "hot:cold big:small tall:short fast:slow happy:sad light:dark good:bad up:down in:out old:young new:old hard:soft "
        "wet:dry full:empty open:closed early:late rich:poor strong:weak loud:quiet clean:dirty day:night left:right "
        "first:last long:short high:low heavy:light true:false win:lose begin:end buy:sell give:take love:hate near:far "
        "push:pull easy:difficult brave:afraid thick:thin wide:narrow sweet:sour black:white yes:no always:never "
        "inside:outside awake:asleep cheap:expensive safe:dangerous friend:enemy laugh:cry remember:forget arrive:leave "
        "north:south east:west summer:winter ancient:modern deep:shallow rough:smooth sharp:dull alive:dead tight:loose "
        "polite:rude generous:selfish beautiful:ugly kind:cruel simple:complicated begin:finish question:answer"
    ).split()
)
SYNONYMS = dict(
    pair.split(":") for pair in (
        "happy:glad big:large small:little fast:quick smart:clever begin:start end:finish sad:unhappy angry:mad "
        "beautiful:pretty hard:difficult easy:simple quiet:silent rich:wealthy brave:courageous tired:weary funny:amusing "
        "strange:odd shout:yell jump:leap look:watch help:assist buy:purchase choose:pick gift:present house:home road:street "
        "child:kid ill:sick answer:reply old:ancient cold:chilly scared:afraid tale:story rock:stone error:mistake "
        "wonderful:marvellous huge:enormous tiny:minute speak:talk hurry:rush fix:repair correct:right"
    ).split()
)
PLURALS = dict(
    pair.split(":") for pair in (
        "cat:cats dog:dogs box:boxes child:children mouse:mice foot:feet tooth:teeth man:men woman:women leaf:leaves "
        "baby:babies city:cities bus:buses fish:fish sheep:sheep goose:geese knife:knives wolf:wolves potato:potatoes "
        "tomato:tomatoes person:people house:houses book:books apple:apples berry:berries fox:foxes church:churches "
        "life:lives shelf:shelves lady:ladies story:stories toy:toys key:keys day:days glass:glasses watch:watches ox:oxen"
    ).split()
)
PASTS = dict(
    pair.split(":") for pair in (
        "go:went eat:ate see:saw run:ran come:came take:took give:gave make:made write:wrote read:read sing:sang swim:swam "
        "drink:drank sleep:slept think:thought buy:bought bring:brought catch:caught teach:taught fly:flew know:knew "
        "grow:grew draw:drew walk:walked play:played jump:jumped talk:talked look:looked cook:cooked find:found "
        "tell:told say:said speak:spoke break:broke begin:began ride:rode drive:drove fall:fell feel:felt keep:kept "
        "leave:left lose:lost meet:met pay:paid sit:sat stand:stood win:won build:built hear:heard hold:held try:tried"
    ).split()
)
RHYMES = [
    "cat hat bat mat rat flat", "day way play say stay grey", "night light bright sight right kite", "tree bee sea free me see",
    "moon soon spoon tune June", "house mouse blouse", "star far car jar", "rain train plain lane grain", "king sing ring wing spring",
    "dog log fog frog", "ball tall wall fall small call", "cake lake snake make take", "book look cook hook", "boat coat goat float note",
    "bed red head bread said", "fish dish wish", "gold old cold told bold", "hill still will mill until", "rose nose those goes",
    "heart start art part", "snow go slow blow know", "sand hand land band", "bell well tell shell", "love dove above glove",
]  # fmt: skip
NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
SHAPES = {"triangle": 3, "square": 4, "rectangle": 4, "pentagon": 5, "hexagon": 6, "octagon": 8}

FACTS = """How many days are in a week?|There are seven days in a week.
How many months are in a year?|There are twelve months in a year.
How many hours are in a day?|There are 24 hours in a day.
How many minutes are in an hour?|There are 60 minutes in an hour.
How many seconds are in a minute?|There are 60 seconds in a minute.
How many days are in a year?|There are 365 days in a year, and 366 in a leap year.
How many weeks are in a year?|There are 52 weeks in a year.
How many days are in February?|February has 28 days, and 29 in a leap year.
How many seasons are there?|There are four seasons: spring, summer, autumn and winter.
What are the four seasons?|The four seasons are spring, summer, autumn and winter.
How many continents are there?|There are seven continents: Africa, Antarctica, Asia, Australia, Europe, North America and South America.
What are the continents?|The continents are Africa, Antarctica, Asia, Australia, Europe, North America and South America.
How many oceans are there?|There are five oceans: the Pacific, the Atlantic, the Indian, the Arctic and the Southern Ocean.
What is the largest ocean?|The largest ocean is the Pacific Ocean.
What is the biggest planet?|The biggest planet of our solar system is Jupiter.
What is the smallest planet?|The smallest planet of our solar system is Mercury.
Which planet is called the red planet?|Mars is called the red planet.
Which planet has rings?|Saturn is famous for its rings.
How many planets are there?|There are eight planets in our solar system.
What is the highest mountain?|The highest mountain in the world is Mount Everest.
What is the longest river?|The Nile and the Amazon are the longest rivers in the world.
What is the largest country?|The largest country in the world is Russia.
What is the smallest country?|The smallest country in the world is Vatican City.
Which country has the most people?|India and China have the most people.
What is the largest animal?|The largest animal is the blue whale.
What is the tallest animal?|The tallest animal is the giraffe.
What is the fastest animal?|The fastest animal on land is the cheetah.
What is the largest land animal?|The largest land animal is the elephant.
What is the king of the jungle?|The lion is often called the king of the jungle.
How many legs does a spider have?|A spider has eight legs.
How many legs does an insect have?|An insect has six legs.
How many letters are in the alphabet?|The English alphabet has 26 letters.
What are the vowels?|The vowels are a, e, i, o and u.
What is the first letter of the alphabet?|The first letter of the alphabet is A.
What is the last letter of the alphabet?|The last letter of the alphabet is Z.
What are the primary colours?|The primary colours are red, yellow and blue.
What are the colours of the rainbow?|The colours of the rainbow are red, orange, yellow, green, blue, indigo and violet.
How many fingers do people have?|Most people have ten fingers, five on each hand.
How many senses do we have?|We have five main senses: sight, hearing, smell, taste and touch.
What are the five senses?|The five senses are sight, hearing, smell, taste and touch.
At what temperature does water freeze?|Water freezes at zero degrees Celsius.
At what temperature does water boil?|Water boils at 100 degrees Celsius.
What is water made of?|Water is made of hydrogen and oxygen.
What is the chemical formula of water?|The chemical formula of water is H2O.
What do plants need to grow?|Plants need light, water, air and soil to grow.
What do bees make?|Bees make honey.
Where does milk come from?|Milk comes from cows, goats and other animals.
Where do eggs come from?|Most eggs that we eat come from chickens.
What do cows drink?|Cows drink water.
Who wrote Romeo and Juliet?|William Shakespeare wrote Romeo and Juliet.
Who wrote Hamlet?|William Shakespeare wrote Hamlet.
Who wrote Alice in Wonderland?|Lewis Carroll wrote Alice's Adventures in Wonderland.
Who wrote A Christmas Carol?|Charles Dickens wrote A Christmas Carol.
Who wrote Pride and Prejudice?|Jane Austen wrote Pride and Prejudice.
Who wrote Sherlock Holmes?|Arthur Conan Doyle wrote the stories of Sherlock Holmes.
Who wrote Treasure Island?|Robert Louis Stevenson wrote Treasure Island.
Who wrote Frankenstein?|Mary Shelley wrote Frankenstein.
Who wrote Tom Sawyer?|Mark Twain wrote The Adventures of Tom Sawyer.
Who painted the Mona Lisa?|Leonardo da Vinci painted the Mona Lisa.
Who was Albert Einstein?|Albert Einstein was a physicist who wrote the theory of relativity.
Who was Isaac Newton?|Isaac Newton was an English scientist who described gravity and the laws of motion.
Who was Charles Darwin?|Charles Darwin was an English scientist who described evolution.
Who was Marie Curie?|Marie Curie was a scientist who studied radioactivity. She won two Nobel Prizes.
Who was William Shakespeare?|William Shakespeare was an English writer of plays and poems. He wrote Hamlet and Romeo and Juliet.
Who was Mozart?|Mozart was a composer from Salzburg in Austria who wrote more than six hundred works.
Who was Beethoven?|Beethoven was a German composer. He wrote great music even after he became deaf.
Who was Napoleon?|Napoleon was a French general who became emperor of France.
Who was Julius Caesar?|Julius Caesar was a Roman general and ruler.
Who was Cleopatra?|Cleopatra was a queen of ancient Egypt.
Who was George Washington?|George Washington was the first president of the United States.
Who was Abraham Lincoln?|Abraham Lincoln was the president of the United States during the Civil War. He helped to end slavery.
Who was Mahatma Gandhi?|Mahatma Gandhi led India to independence without violence.
Who was Christopher Columbus?|Christopher Columbus was a sailor who crossed the Atlantic Ocean in 1492.
Who was the first president of the United States?|The first president of the United States was George Washington.
Who was the first man on the moon?|Neil Armstrong was the first man on the Moon, in 1969.
Who discovered gravity?|Isaac Newton described gravity.
Who invented the telephone?|Alexander Graham Bell is known for inventing the telephone.
Who invented the light bulb?|Thomas Edison is known for the first practical light bulb.
Who invented the airplane?|The Wright brothers built the first airplane, in 1903.
Where is the Eiffel Tower?|The Eiffel Tower is in Paris, in France.
Where is Big Ben?|Big Ben is in London, in England.
Where is the Statue of Liberty?|The Statue of Liberty is in New York, in the United States.
Where is the Colosseum?|The Colosseum is in Rome, in Italy.
Where are the pyramids?|The most famous pyramids are in Egypt.
Where is the Great Wall?|The Great Wall is in China.
Where is the Taj Mahal?|The Taj Mahal is in India.
Where does the sun rise?|The sun rises in the east.
Where does the sun set?|The sun sets in the west.
What is the currency of Japan?|The currency of Japan is the yen.
What is the currency of the United States?|The currency of the United States is the dollar.
What is the currency of England?|The currency of England is the pound.
What is the currency of France?|The currency of France is the euro.
How many players are in a football team?|A football team has eleven players on the field.
How many strings does a guitar have?|A guitar usually has six strings.
How many strings does a violin have?|A violin has four strings.
How many wheels does a car have?|A car has four wheels.
How many wheels does a bicycle have?|A bicycle has two wheels.
How many states are in the United States?|The United States has 50 states.
How many sides does a cube have?|A cube has six sides.
How many is a dozen?|A dozen is twelve.
How many is a couple?|A couple is two.
How many years are in a century?|There are one hundred years in a century.
How many years are in a decade?|There are ten years in a decade.
How many metres are in a kilometre?|There are 1,000 metres in a kilometre.
How many centimetres are in a metre?|There are 100 centimetres in a metre.
How many grams are in a kilogram?|There are 1,000 grams in a kilogram.
When did the First World War begin?|The First World War began in 1914.
When did the First World War end?|The First World War ended in 1918.
When did the Second World War begin?|The Second World War began in 1939.
When did the Second World War end?|The Second World War ended in 1945.
When is Christmas?|Christmas is on the 25th of December.
When is New Year's Day?|New Year's Day is on the first of January.
When is Halloween?|Halloween is on the 31st of October.
What comes after night?|After night comes the morning.
What do you use to write?|You can use a pen or a pencil to write.
What do you use to cut paper?|You can use scissors to cut paper.
What do you wear on your feet?|You wear shoes and socks on your feet.
What do you wear on your head?|You can wear a hat or a cap on your head.
What is frozen water called?|Frozen water is called ice.
What is a baby dog called?|A baby dog is called a puppy.
What is a baby cat called?|A baby cat is called a kitten.
Is the earth flat?|No, the Earth is round like a ball.
Is the earth round?|Yes, the Earth is round like a ball.
Is the sun a star?|Yes, the Sun is a star.
Is the moon a planet?|No, the Moon is not a planet. It goes around the Earth.
Is a whale a fish?|No, a whale is a mammal.
Is a tomato a fruit?|Yes, a tomato is a fruit, but we use it like a vegetable.
Is a spider an insect?|No, a spider is an arachnid. It has eight legs.
Is a penguin a bird?|Yes, a penguin is a bird that cannot fly.
Can penguins fly?|No, penguins cannot fly, but they swim very well.
Can fish breathe under water?|Yes, fish breathe under water with their gills.
Can dogs talk?|No, dogs cannot talk, but they bark.
Do fish sleep?|Yes, fish rest, but they do not close their eyes.
Do plants need water?|Yes, plants need water to live.""".splitlines()

NAMES = (
    "Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Maria Noah Olivia Paul Rosa Sam Tom Lily Max Mia Ella Oscar "
    "Ruth Simon Sara Peter Nina Lucas Julia Adam Eva Daniel Alice George Helen Ivan Laura Martin Nora Oliver Pedro Amira Omar "
    "Yuki Kenji Mei Chen Ravi Priya Ali Fatima Kofi Ama Zuri Tariq Layla Diego Carmen Sofia Marco Elena Lars Ingrid Erik Freya "
    "Hugo Chloe Louis Amy Jane Robert James Michael Susan Linda Karen Steven Kevin Brian Emily Jacob Hannah Ethan Zoe Toby Ruby"
).split()
GIRLS = set(
    "Anna Clara Emma Grace Ida Kate Maria Olivia Rosa Lily Mia Ella Ruth Sara Nina Julia Eva Alice Helen Laura Nora Amira Yuki Mei Priya "
    "Fatima Ama Zuri Layla Carmen Sofia Elena Ingrid Freya Chloe Amy Jane Susan Linda Karen Emily Hannah Zoe Ruby".split()
)
SURNAMES = (
    "Smith Brown Miller Wilson Taylor Clark Lewis Walker Hall Young King Wright Hill Green Baker Adams Carter Mitchell Turner "
    "Parker Evans Collins Murphy Cook Bell Ward Gray Foster Reed Hughes Price Long Ross Bennett Fischer Weber Rossi Silva Garcia "
    "Tanaka Singh Khan Novak Larsen Dubois Okafor Mensah Petrov Kowalski"
).split()
CITIES = (
    "Paris|London|Berlin|Rome|Madrid|Lisbon|Vienna|Oslo|Stockholm|Helsinki|Dublin|Prague|Warsaw|Budapest|Athens|Zurich|Geneva|"
    "Brussels|Amsterdam|Copenhagen|New York|Boston|Chicago|Seattle|Denver|Miami|Dallas|Los Angeles|San Francisco|Toronto|Montreal|"
    "Mexico City|Lima|Buenos Aires|Santiago|Rio de Janeiro|Cairo|Nairobi|Lagos|Accra|Cape Town|Istanbul|Dubai|Delhi|Mumbai|"
    "Bangkok|Singapore|Hong Kong|Tokyo|Kyoto|Osaka|Seoul|Beijing|Shanghai|Sydney|Melbourne|Auckland|Munich|Hamburg|Cologne|"
    "Milan|Naples|Venice|Florence|Barcelona|Valencia|Seville|Porto|Lyon|Nice|Marseille|Edinburgh|Glasgow|Manchester|Liverpool|"
    "Bristol|Leeds|Oxford|Portland|Austin|Atlanta|Phoenix|Houston|Detroit|Vancouver|Ottawa|Reykjavik|Bergen|Tampere|Riga|Vilnius|"
    "Krakow|Zagreb|Sofia|Bucharest|Kyiv|Manila|Jakarta|Hanoi|Perth|Brisbane|Springfield|Salem|Fairview|Greenville"
).split("|")
NONSENSE = (
    "flimbat glorp zindle quorvex brambulo snorfle trelk plindor wozzle mirfan drupple yantic skelvor bloomwick frandle "
    "korbex tumsel vorple glimmerwump zargon plunket dorvish quindle marfle brixal torvane sprandle nubwick glaven orpel"
).split()
